/** The models that the routing names and whether they serve, as REST and gRPC list them. */
import { type EndpointStatus, wakeProblem } from '../../domain/convergence.ts';
import type { ServedVariant } from '../../domain/routing-table.ts';

export interface IndexEntry {
  readonly name: string;
  /** Absent while the endpoint has never served. */
  readonly version?: string;
  readonly state: 'READY' | 'UNAVAILABLE';
  /** Why it is unavailable; empty where it serves. */
  readonly reason: string;
}

/**
 * One entry a version; one an endpoint that has none yet. A version that rests is ready: the next request wakes it, if
 * the last try did not fail.
 */
export function repositoryIndex(endpoints: readonly EndpointStatus[], onlyReady: boolean): IndexEntry[] {
  const entries = endpoints.flatMap(entriesOf);
  return onlyReady ? entries.filter(({ state }) => state === 'READY') : entries;
}

function entriesOf({ wanted: { name }, applied, problem = 'it is being loaded' }: EndpointStatus): IndexEntry[] {
  if (applied === undefined) return [{ name, state: 'UNAVAILABLE', reason: problem }];
  return applied.variants.map((variant) => {
    const reason = reasonAgainst(variant, problem);
    const version = String(variant.version.version);
    return { name, version, state: reason === undefined ? 'READY' : 'UNAVAILABLE', reason: reason ?? '' };
  });
}

function reasonAgainst(variant: ServedVariant, problem: string): string | undefined {
  if (variant.live === undefined) return problem;
  return variant.live.failure === undefined ? undefined : wakeProblem(variant);
}
