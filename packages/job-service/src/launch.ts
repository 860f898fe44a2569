/** From a recorded job to what the launcher is given. */
import { randomBytes } from 'node:crypto';
import { JOB_TOKEN_VARIABLE, type LaunchRequest } from '@assay/jobs';
import { traceVariables } from '@assay/runtime';
import { registryDoorPath } from './http/registry-door.ts';
import type { JobKind, JobOf, JobTypes, LaunchPlace, Resolution } from './kind.ts';
import { launchResources } from './resources.ts';
import type { Jobs, RunnableJob } from './store/jobs.ts';

/** Each attempt has a token of its own, recorded by its digest before the launch; all have what the first one resolved. */
export async function prepareLaunch<T extends JobTypes>(
  { job: recorded, trace }: Pick<RunnableJob<T>, 'job' | 'trace'>,
  kind: JobKind<T>,
  jobs: Jobs<T>,
  place: Omit<LaunchPlace<T>, 'registryUrl'>,
): Promise<Omit<LaunchRequest, 'id'>> {
  const job = await resolveOnce(recorded, kind, jobs, place);
  const registryUrl = `${place.serviceUrl}${registryDoorPath(job.id)}`;
  const { spec, environment } = await kind.launchInput(job, { ...place, registryUrl });
  const resources = kind.resources === undefined ? job.spec.resources : kind.resources(job.spec);
  const token = randomBytes(32).toString('base64url');
  await jobs.setToken(job.id, token);
  return {
    spec,
    timeoutMs: place.config.jobTimeoutMs,
    environment: { ...environment, ...traceVariables(trace), [JOB_TOKEN_VARIABLE]: token },
    ...(resources === undefined ? {} : { resources: launchResources(resources) }),
  };
}

async function resolveOnce<T extends JobTypes>(
  job: JobOf<T>,
  { resolve }: JobKind<T>,
  jobs: Jobs<T>,
  { registry }: Omit<LaunchPlace<T>, 'registryUrl'>,
): Promise<JobOf<T>> {
  const found: Partial<Record<keyof T['resolved'], unknown>> = {};
  for (const name of Object.keys(resolve) as (keyof typeof resolve)[]) {
    if (job[name] === null) found[name] = await resolve[name](job.spec, registry);
  }
  return jobs.keepResolved(job.id, found as Partial<Resolution<T>>); // each of the type that its name has
}
