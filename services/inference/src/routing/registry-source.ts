/** Routing and packages from the registry. */

import type { RegistryClient } from '@assay/client';
import type { RoutingSnapshot } from '@assay/contracts';
import type { RoutingSource } from '../domain/version.ts';

/**
 * The registry's long poll. It answers as soon as the revision moves, and after `pollIntervalMs` in any case, so that an
 * event that the registry lost is made good by the next answer.
 */
export function createRegistryRouting(registry: RegistryClient, pollIntervalMs: number): RoutingSource {
  return {
    next: (after, signal): Promise<RoutingSnapshot> =>
      after === undefined
        ? registry.routing({}, { signal })
        : registry.routing({ after, waitMs: pollIntervalMs }, { signal }),
  };
}
