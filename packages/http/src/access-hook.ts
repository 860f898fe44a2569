/** What an app with keys asks of each route. */
import { AssayError } from '@assay/contracts';
import type { RouteAccess } from './access.ts';

/** @throws AssayError INTERNAL: a route that does not say who may call it is a mistake, not a public route */
export function requireAccess(route: { method: string | string[]; url: string; config?: unknown }): void {
  const { access } = (route.config ?? {}) as { access?: RouteAccess }; // Fastify's route config
  if (access !== undefined) return;
  throw new AssayError('INTERNAL', `${route.method} ${route.url} must say who may call it: config: { access: … }`);
}
