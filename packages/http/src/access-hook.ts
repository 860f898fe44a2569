/** The check of keys, as the app calls it with each request. */
import { AssayError } from '@assay/contracts';
import type { FastifyRequest } from 'fastify';
import { authorizationsOf, type RouteAccess } from './access.ts';
import { LOCAL_CALLER } from './access-snapshot.ts';
import type { AppState } from './state.ts';

/** Finds out who calls, and whether they may. A path that no route takes is told so to everyone. */
export function accessError(request: FastifyRequest, { access }: AppState): AssayError | undefined {
  const { access: needed = 'public', endpointParam } = request.routeOptions.config;
  if (access === undefined) request.caller = LOCAL_CALLER;
  else if (needed !== 'public' && needed !== 'own') {
    const call = {
      authorizations: authorizationsOf(request.raw.rawHeaders),
      requestId: request.id,
      remoteAddress: request.socket.remoteAddress,
    };
    const params = request.params as Readonly<Record<string, string>>; // by the router: text by name
    try {
      request.caller = access.check(call, needed, endpointParam === undefined ? undefined : params[endpointParam]);
    } catch (error) {
      return AssayError.from(error);
    }
  }
  return undefined;
}

/** @throws AssayError INTERNAL: a route that does not say who may call it is a mistake, not a public route */
export function requireAccess(route: { method: string | string[]; url: string; config?: unknown }): void {
  const { access } = (route.config ?? {}) as { access?: RouteAccess }; // Fastify's route config
  if (access !== undefined) return;
  throw new AssayError('INTERNAL', `${route.method} ${route.url} must say who may call it: config: { access: … }`);
}
