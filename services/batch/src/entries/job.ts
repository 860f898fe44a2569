/** The program of a batch job's process, run by the launcher. */
import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createBatchClient, createRegistryClient } from '@assay/client';
import { AssayError, parse } from '@assay/contracts';
import { type JobContext, JobError } from '@assay/jobs';
import { DataError } from '@assay/tables';
import { JobInput, TOKEN_VARIABLE } from '../job/job-input.ts';
import { createReporter } from '../job/reporter.ts';
import { runBatchJob } from '../job/run-job.ts';

export async function run({ spec, signal }: JobContext): Promise<void> {
  const input = parse(JobInput, spec, 'job input');
  const token = process.env[TOKEN_VARIABLE];
  if (token === undefined)
    throw new AssayError('INTERNAL', `${TOKEN_VARIABLE} is not set; a job is started by the launcher`);
  await using batch = createBatchClient({ url: input.batchUrl, bearerToken: token });
  const report = createReporter({
    push: (progress) => batch.putProgress(input.jobId, progress, { signal }),
    write: (line) => process.stdout.write(`${new Date().toISOString()} ${line}\n`),
  });
  try {
    const packageDir = await fetchPackage(input, token, signal);
    const result = await runBatchJob(input, { packageDir, report, signal });
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
  await using registry = createRegistryClient({ url: registryUrl, bearerToken: token });
  const { id, files } = await registry.getVersionById(version.versionId, { signal });
  await registry.downloadPackage({ id, files }, dir, { signal });
  return dir;
}
