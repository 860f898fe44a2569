/** The program of a training job's process, run by the launcher. */
import { resolve } from 'node:path';
import { createRegistryClient, createTrainingClient } from '@assay/client';
import { AssayError, parse } from '@assay/contracts';
import { JOB_TOKEN_VARIABLE, type JobContext, JobError } from '@assay/jobs';
import { currentTrace } from '@assay/runtime';
import { DataError } from '@assay/tables';
import { JobInput } from '../job/job-input.ts';
import { createReporter } from '../job/reporter.ts';
import { runTrainingJob } from '../job/run-job.ts';

/** Set by the images (dockerfiles/Dockerfile), as the setting of the service is called. */
const LIBRARIES_VARIABLE = 'ASSAY_TRAINING_LIBRARY_CACHE_DIR';

export async function run({ spec, dir, signal }: JobContext): Promise<void> {
  const input = parse(JobInput, spec, 'job input');
  // An image says where it holds them, to its pods; a child process is not given the variable.
  const cacheDir = process.env[LIBRARIES_VARIABLE] ?? input.libraries.cacheDir;
  const libraries = { ...input.libraries, cacheDir: resolve(dir, cacheDir) };
  const token = process.env[JOB_TOKEN_VARIABLE];
  if (token === undefined)
    throw new AssayError('INTERNAL', `${JOB_TOKEN_VARIABLE} is not set; a job is started by the launcher`);
  await using training = createTrainingClient({ url: input.trainingUrl, bearerToken: token, trace: currentTrace });
  await using registry = createRegistryClient({ url: input.registryUrl, bearerToken: token, trace: currentTrace });
  const report = createReporter({
    push: (progress) => training.putProgress(input.jobId, progress, { signal }),
    write: (line) => process.stdout.write(`${new Date().toISOString()} ${line}\n`),
  });
  try {
    const result = await runTrainingJob({ ...input, libraries }, { dir, registry, report, signal });
    await report.flush();
    await training.putResult(input.jobId, result, { signal });
  } catch (error) {
    signal.throwIfAborted();
    await report.flush();
    if (error instanceof DataError) throw new JobError('data', error.message, { cause: error });
    throw error;
  }
}
