/** What the caches of endpoints do, as metrics. */
import type { BoundCounter, createMetrics, LabelValues } from '@assay/runtime';
import type { CacheWatcher } from '@assay/scoring/response-cache';
import type { HeldResponses } from './domain/response-caches.ts';
import type { inferenceMetrics } from './metrics.ts';

type Metrics = ReturnType<typeof createMetrics<typeof inferenceMetrics>>['metrics'];
type Labels = LabelValues<'endpoint' | 'model' | 'version'>;

const OUTCOMES = ['hit', 'coalesced', 'miss'] as const;
const REASONS = ['size', 'age'] as const;

export interface CacheSeries extends CacheWatcher {
  forget(): void;
}

/** Of one endpoint and version. The series begin with the first look-up: most endpoints have no cache. */
export function bindCacheSeries(metrics: Metrics, labels: Labels): CacheSeries {
  let lookups: readonly BoundCounter[] | undefined;
  let evictions: { readonly size: BoundCounter; readonly age: BoundCounter } | undefined;
  return {
    looked(hits, coalesced, misses) {
      lookups ??= OUTCOMES.map((outcome) => metrics.cacheRows.bind({ ...labels, outcome }));
      const counts = [hits, coalesced, misses];
      for (let i = 0; i < counts.length; i++) if (counts[i] !== 0) lookups[i]?.inc(counts[i]);
    },
    evicted(reason) {
      evictions ??= {
        size: metrics.cacheEvictions.bind({ ...labels, reason: 'size' }),
        age: metrics.cacheEvictions.bind({ ...labels, reason: 'age' }),
      };
      evictions[reason].inc();
    },
    forget() {
      for (const outcome of OUTCOMES) metrics.cacheRows.remove({ ...labels, outcome });
      for (const reason of REASONS) metrics.cacheEvictions.remove({ ...labels, reason });
    },
  };
}

/** Sets the gauges at each scrape, and takes away those of what holds nothing any more. */
export function showHeldResponses({ cacheBytes, cacheEntries }: Metrics, held: () => readonly HeldResponses[]): void {
  let shown: readonly Labels[] = [];
  cacheBytes.onScrape(() => {
    for (const labels of shown) for (const gauge of [cacheBytes, cacheEntries]) gauge.remove(labels);
    shown = held().map(({ endpoint, version: { modelName, version }, bytes, rows }) => {
      const labels = { endpoint, model: modelName, version: String(version) };
      cacheBytes.bind(labels).set(bytes);
      cacheEntries.bind(labels).set(rows);
      return labels;
    });
  });
}
