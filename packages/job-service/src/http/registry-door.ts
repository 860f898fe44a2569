/**
 * The registry, for a running job: what its kind says that it needs, with the token of that job instead of a key. The
 * job's process, or pod, then holds nothing that outlives it; the service adds its own key and passes the call on.
 */
import { AssayError } from '@assay/contracts';
import { type App, acceptStreams, errorResponses, forward } from '@assay/http';
import Type from 'typebox';
import type { JobKind, JobTypes, RegistryCall } from '../kind.ts';
import { JobParams } from './job-routes.ts';
import type { PartsOf } from './parts.ts';
import { tokenOf } from './report-routes.ts';

/** Where a job finds it, below the address of the service. */
export function registryDoorPath(jobId: string): string {
  return `/v1/jobs/${jobId}/registry`;
}

/** What another server might read as a way up, or as another path than it seems. */
const DEVIOUS = /(^|\/)\.\.?(\/|$)|%2e|%2f|%5c|[?\\#]/i;

export function isAmong(calls: readonly RegistryCall[], method: string, path: string): boolean {
  if (DEVIOUS.test(path)) return false;
  return calls.some((call) => {
    if (!(call.methods as readonly string[]).includes(method)) return false;
    return call.path.endsWith('/') ? path.startsWith(call.path) && path !== call.path : path === call.path;
  });
}

const Params = Type.Object(
  { ...JobParams.properties, '*': Type.String({ maxLength: 600 }) },
  { additionalProperties: false },
);

/** Of the upload of one file. */
export const UPLOAD_TIMEOUT_MS = 30 * 60_000;

/** In a scope of its own, since here every body is a stream that is passed on. */
export function registryDoor<T extends JobTypes>(app: App, kind: JobKind<T>, parts: PartsOf<T>): void {
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
      const job = await jobs.checkToken(id, tokenOf(request));
      const path = request.url.slice(registryDoorPath(encodeURIComponent(id)).length);
      if (!isAmong(kind.registryCalls(job), request.method, path)) {
        throw new AssayError('PERMISSION_DENIED', `a job has no use for ${request.method} ${path} of the registry`);
      }
      const url = `${config.registryUrl.replace(/\/+$/, '')}${path}`;
      return forward(request, reply, { url, bearerToken: config.serviceKey?.reveal(), peer: 'the registry' });
    },
  });
}
