/** The program of a batch job's process, run by the launcher. */
import { access, mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { createBatchClient, createRegistryClient } from '@assay/client';
import { AssayError, type LogBatchPredictions, parse } from '@assay/contracts';
import { JOB_TOKEN_VARIABLE, type JobContext, JobError } from '@assay/jobs';
import { currentTrace } from '@assay/runtime';
import { DataError } from '@assay/tables';
import { JobInput } from '../job/job-input.ts';
import type { JobCheckpoints } from '../job/output-dataset.ts';
import { createReporter } from '../job/reporter.ts';
import { runBatchJob } from '../job/run-job.ts';

export async function run({ spec, dir, signal }: JobContext): Promise<void> {
  const input = parse(JobInput, spec, 'job input');
  const threads = input.threads ?? availableParallelism();
  const token = process.env[JOB_TOKEN_VARIABLE];
  if (token === undefined)
    throw new AssayError('INTERNAL', `${JOB_TOKEN_VARIABLE} is not set; a job is started by the launcher`);
  await using batch = createBatchClient({ url: input.batchUrl, bearerToken: token, trace: currentTrace });
  const report = createReporter({
    push: (progress) => batch.putProgress(input.jobId, progress, { signal }),
    write: (line) => process.stdout.write(`${new Date().toISOString()} ${line}\n`),
  });
  try {
    const packageDir = await fetchPackage({ ...input, packagesDir: resolve(dir, input.packagesDir) }, token, signal);
    await using registry = createRegistryClient({ url: input.registryUrl, bearerToken: token, trace: currentTrace });
    const checkpoints: JobCheckpoints = {
      list: () => batch.listCheckpoints(input.jobId, { signal }),
      put: (number, entry) => batch.putCheckpoint(input.jobId, number, entry, { signal }),
    };
    const datasets = { registry, checkpoints, dir };
    const logPredictions = (body: LogBatchPredictions) => batch.logPredictions(input.jobId, body, { signal });
    const surroundings = { packageDir, report, datasets, logPredictions, signal };
    const result = await runBatchJob({ ...input, threads }, surroundings);
    await report.flush();
    await batch.putResult(input.jobId, result, { signal });
  } catch (error) {
    signal.throwIfAborted();
    await report.flush();
    if (error instanceof DataError) throw new JobError('data', error.message, { cause: error });
    throw error;
  }
}

/** The version's package, kept by its digest for other jobs. */
async function fetchPackage(
  { version, registryUrl, packagesDir }: JobInput,
  token: string,
  signal: AbortSignal,
): Promise<string> {
  const dir = join(packagesDir, version.digest);
  const isThere = await access(dir).then(
    () => true,
    () => false,
  );
  if (isThere) return dir; // what is in it is checked when it is opened
  await mkdir(packagesDir, { recursive: true });
  await using registry = createRegistryClient({ url: registryUrl, bearerToken: token, trace: currentTrace });
  const { id, files } = await registry.getVersionById(version.versionId, { signal });
  await registry.downloadPackage({ id, files }, dir, { signal });
  return dir;
}
