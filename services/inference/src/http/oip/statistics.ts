/** What was scored, in the words of Triton's statistics extension. */
import { pinnedVariant, type ServedEndpoint, type ServedVariant } from '../../domain/routing-table.ts';

export function variantsOf(served: ServedEndpoint, version: string | undefined): readonly ServedVariant[] {
  return version === undefined ? served.variants : [pinnedVariant(served, version)];
}

/** Reading and writing a request are not measured apart: what is neither queue nor model is all in `compute_input`. */
export function statisticsOf(served: ServedEndpoint, version: string | undefined) {
  return variantsOf(served, version).map(({ version: { version: number }, recorder: { statistics } }) => {
    const { requests, cachedRequests, cachedMs, totalMs, queueMs, inferenceMs } = statistics;
    const ran = requests - cachedRequests;
    const duration = (count: number, ms: number) => ({ count, ns: Math.round(Math.max(0, ms) * 1e6) });
    return {
      name: served.endpoint.name,
      version: String(number),
      last_inference: statistics.lastAtMs,
      inference_count: statistics.rows - statistics.cachedRows,
      execution_count: statistics.runs,
      inference_stats: {
        success: duration(requests, totalMs),
        fail: duration(statistics.failures, 0),
        queue: duration(requests, queueMs),
        compute_input: duration(ran, totalMs - cachedMs - queueMs - inferenceMs),
        compute_infer: duration(ran, inferenceMs),
        compute_output: duration(ran, 0),
        cache_hit: duration(cachedRequests, cachedMs),
        cache_miss: duration(statistics.cacheMisses, 0),
      },
      batch_stats: [],
    };
  });
}
