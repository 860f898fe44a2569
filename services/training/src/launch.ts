/** From a recorded job to what the launcher is given. */
import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { LaunchRequest } from '@assay/jobs';
import type { TrainingConfig } from './config.ts';
import { registryDoorPath } from './http/registry-door.ts';
import { type JobInput, TOKEN_VARIABLE } from './job/job-input.ts';
import type { Jobs, RunnableJob } from './store/jobs.ts';

/** What pip needs to reach the index that the machine is set up for; jobs get nothing else of the service's environment. */
export const JOB_ENVIRONMENT: readonly string[] = [
  'PIP_INDEX_URL',
  'PIP_EXTRA_INDEX_URL',
  'PIP_TRUSTED_HOST',
  'PIP_CONFIG_FILE',
  'PIP_CERT',
  'PIP_FIND_LINKS',
  'PIP_NO_INDEX',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'PYENV_ROOT',
  'PYENV_VERSION',
];

/** Each attempt has a token of its own, recorded by its digest before the launch. */
export async function prepareLaunch(
  { job }: RunnableJob,
  { jobs, config, trainingUrl }: { readonly jobs: Jobs; readonly config: TrainingConfig; readonly trainingUrl: string },
): Promise<Omit<LaunchRequest, 'id'>> {
  const token = randomBytes(32).toString('base64url');
  await jobs.setToken(job.id, token);
  const spec: JobInput = {
    jobId: job.id,
    spec: job.spec,
    baseDir: job.baseDir,
    createdAtMs: job.createdAt,
    trainingUrl,
    registryUrl: `${trainingUrl}${registryDoorPath(job.id)}`,
    lightgbm: {
      cacheDir: resolve(config.libraryCacheDir ?? join(config.dataDir, 'training', 'libraries')),
      ...(config.lightgbmLibrary === undefined ? {} : { library: resolve(config.lightgbmLibrary) }),
    },
  };
  return {
    spec,
    timeoutMs: config.jobTimeoutMs,
    environment: {
      [TOKEN_VARIABLE]: token,
      // Read by OpenMP when it is loaded: threads that wait sleep, or two on a busy core take three times as long.
      OMP_WAIT_POLICY: 'passive',
    },
  };
}
