/** From a recorded job to what the launcher is given. */
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import type { RegistryClient } from '@assay/client';
import { AssayError, type BatchSpec, type BatchVersion, type Version } from '@assay/contracts';
import type { LaunchRequest } from '@assay/jobs';
import type { BatchConfig } from './config.ts';
import { registryDoorPath } from './http/registry-door.ts';
import { type JobInput, TOKEN_VARIABLE } from './job/job-input.ts';
import type { Jobs, RunnableJob } from './store/jobs.ts';

const DEFAULT_ALIAS = 'champion';

/** Each attempt has a token of its own, recorded by its digest before the launch; all have the version of the first. */
export async function prepareLaunch(
  { job }: RunnableJob,
  surroundings: {
    readonly jobs: Jobs;
    readonly registry: RegistryClient;
    readonly config: BatchConfig;
    readonly batchUrl: string;
  },
): Promise<Omit<LaunchRequest, 'id'>> {
  const { jobs, registry, config, batchUrl } = surroundings;
  const version = job.version ?? (await jobs.keepVersion(job.id, await resolveVersion(registry, job.spec)));
  const token = randomBytes(32).toString('base64url');
  await jobs.setToken(job.id, token);
  const spec: JobInput = {
    jobId: job.id,
    spec: job.spec,
    baseDir: job.baseDir,
    version,
    batchUrl,
    registryUrl: `${batchUrl}${registryDoorPath(job.id)}`,
    packagesDir: resolve(join(config.dataDir, 'batch', 'packages')),
    threads: config.jobThreads ?? availableParallelism(),
    tableMemoryBytes: config.jobTableMemoryMb * 1_000_000,
  };
  return { spec, timeoutMs: config.jobTimeoutMs, environment: { [TOKEN_VARIABLE]: token } };
}

/** What the spec names, as it is now. */
async function resolveVersion(registry: RegistryClient, spec: BatchSpec): Promise<BatchVersion> {
  const wanted = spec.version ?? DEFAULT_ALIAS;
  try {
    const version =
      typeof wanted === 'number'
        ? await registry.getVersion(spec.model, wanted)
        : await versionOfAlias(registry, spec.model, wanted);
    const { modelName, id, digest } = version;
    return { modelName, version: version.version, versionId: id, digest };
  } catch (thrown) {
    const error = AssayError.from(thrown);
    if (error.code !== 'NOT_FOUND') throw error;
    const place = `${spec.model}${typeof wanted === 'number' ? ` version ${wanted}` : `@${wanted}`}`;
    throw new AssayError('NOT_FOUND', `spec.version: the registry has no ${place}: ${error.message}`, { cause: error });
  }
}

async function versionOfAlias(registry: RegistryClient, model: string, alias: string): Promise<Version> {
  const { versionId } = await registry.getAlias(model, alias);
  return registry.getVersionById(versionId);
}
