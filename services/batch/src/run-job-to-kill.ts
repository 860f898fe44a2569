/** For the tests of this service: one attempt of a job as a process of its own, which is then killed. */
import { createReporter } from './job/reporter.ts';
import { type BatchJobInput, runBatchJob } from './job/run-job.ts';

const [packageDir = '', input = ''] = process.argv.slice(2);
const job: BatchJobInput = JSON.parse(input); // the test writes nothing else
const report = createReporter({
  push: async () => undefined,
  write: (line) => process.stdout.write(`${line}\n`),
});
await runBatchJob(job, { packageDir, report, signal: new AbortController().signal });
