/**
 * The registry, for a running job: what a job needs to register its version, with the token of that job instead of a key.
 * The job's process, or pod, then holds nothing that outlives it; the service adds its own key and passes the call on.
 */
import { AssayError, type TrainingSpec } from '@assay/contracts';
import { type App, acceptStreams, forward } from '@assay/http';
import Type from 'typebox';
import { errorResponses } from './error-responses.ts';
import { JobParams } from './job-routes.ts';
import type { PartsOf } from './parts.ts';
import { tokenOf } from './report-routes.ts';

/** Where a job finds it, below the address of the service. */
export function registryDoorPath(jobId: string): string {
  return `/v1/jobs/${jobId}/registry`;
}

/** What `job/register.ts` calls, of the model that the spec names and the alias that it moves, and nothing else. */
function isNeeded(method: string, path: string, { model, register }: TrainingSpec): boolean {
  if (/^\/v1\/blobs\/[0-9a-f]{64}$/.test(path)) return method === 'HEAD' || method === 'PUT';
  if (path === '/v1/models') return method === 'POST';
  const own = `/v1/models/${encodeURIComponent(model)}`;
  if (path === own) return method === 'GET';
  if (path === `${own}/versions`) return method === 'POST';
  const alias = register?.alias;
  if (alias === undefined || path !== `${own}/aliases/${encodeURIComponent(alias)}`) return false;
  return method === 'GET' || method === 'PUT';
}

const Params = Type.Object(
  { ...JobParams.properties, '*': Type.String({ maxLength: 600 }) },
  { additionalProperties: false },
);

/** Of the upload of a package's file. */
export const UPLOAD_TIMEOUT_MS = 30 * 60_000;

/** In a scope of its own, since here every body is a stream that is passed on. */
export function registryDoor(app: App, parts: PartsOf): void {
  app.removeAllContentTypeParsers();
  acceptStreams(app, ['*']);
  app.route({
    method: ['GET', 'HEAD', 'POST', 'PUT'],
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
      const { spec } = await jobs.checkToken(id, tokenOf(request));
      const path = request.url.slice(registryDoorPath(encodeURIComponent(id)).length);
      if (!isNeeded(request.method, path, spec)) {
        throw new AssayError('PERMISSION_DENIED', `a job has no use for ${request.method} ${path} of the registry`);
      }
      const url = `${config.registryUrl.replace(/\/+$/, '')}${path}`;
      return forward(request, reply, { url, bearerToken: config.serviceKey?.reveal(), peer: 'the registry' });
    },
  });
}
