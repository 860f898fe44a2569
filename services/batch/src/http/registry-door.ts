/**
 * The registry, for a running job: its own version's package, with the token of that job instead of a key. The job's
 * process, or pod, then holds nothing that outlives it; the service adds its own key and passes the call on.
 */
import { AssayError, type BatchVersion } from '@assay/contracts';
import { type App, forward } from '@assay/http';
import Type from 'typebox';
import { errorResponses } from './error-responses.ts';
import { JobParams } from './job-routes.ts';
import type { PartsOf } from './parts.ts';
import { tokenOf } from './report-routes.ts';

/** Where a job finds it, below the address of the service. */
export function registryDoorPath(jobId: string): string {
  return `/v1/jobs/${jobId}/registry`;
}

/** The description of the job's version and its files, and nothing else. */
function isNeeded(path: string, version: BatchVersion | null): boolean {
  if (version === null || /(^|\/)\.\.?(\/|$)|%2e|%2f|\\/i.test(path)) return false;
  const own = `/v1/versions/${encodeURIComponent(version.versionId)}`;
  return path === own || path.startsWith(`${own}/files/`);
}

const Params = Type.Object(
  { ...JobParams.properties, '*': Type.String({ maxLength: 600 }) },
  { additionalProperties: false },
);

export function registryDoor(app: App, parts: PartsOf): void {
  app.route({
    method: 'GET',
    url: '/v1/jobs/:id/registry/*',
    config: { access: 'own' },
    schema: {
      hide: true,
      params: Params,
      response: errorResponses('UNAUTHENTICATED', 'PERMISSION_DENIED', 'UNAVAILABLE'),
    },
    handler: async (request, reply) => {
      const { id } = request.params as { id: string }; // by the schema above
      const { config, jobs } = parts();
      const { version } = await jobs.checkToken(id, tokenOf(request));
      const path = request.url.slice(registryDoorPath(encodeURIComponent(id)).length);
      if (!isNeeded(path, version)) {
        throw new AssayError('PERMISSION_DENIED', `a job has no use for ${request.method} ${path} of the registry`);
      }
      const url = `${config.registryUrl.replace(/\/+$/, '')}${path}`;
      return forward(request, reply, { url, bearerToken: config.serviceKey?.reveal(), peer: 'the registry' });
    },
  });
}
