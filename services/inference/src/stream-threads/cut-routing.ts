/** A routing snapshot cut to some endpoints: what a stream thread keeps in memory is what its pipelines ask. */
import type { RoutingSnapshot } from '@assay/contracts';

export function cutRouting(snapshot: RoutingSnapshot, endpoints: ReadonlySet<string>): RoutingSnapshot {
  const kept = snapshot.endpoints.filter(({ name }) => endpoints.has(name));
  const named = new Set(kept.flatMap(({ variants }) => variants.map(({ versionId }) => versionId)));
  return {
    revision: snapshot.revision,
    endpoints: kept,
    versions: snapshot.versions.filter(({ id }) => named.has(id)),
  };
}
