/** Waiting between tries: exponential, with full jitter, bounded. */

export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait after the failure number `attempt` (from 1): between half of min(max, first · 2^(attempt − 1)) and all
 * of it, so that replicas that failed together do not come back together.
 */
export function backoffMs({ firstMs, maxMs }: Backoff, attempt: number, random: () => number = Math.random): number {
  const ceiling = Math.min(maxMs, firstMs * 2 ** Math.min(attempt - 1, 30));
  return ceiling * (0.5 + random() / 2);
}
