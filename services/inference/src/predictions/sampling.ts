/** Which predictions are drawn for the log: a share for each endpoint, and so many a second at most. */

export interface Shares {
  /** The share of every endpoint that has none of its own, 0 to 1. */
  readonly ratio: number;
  readonly byEndpoint: Readonly<Record<string, number>>;
}

/** The share of an endpoint, for the hot path. */
export function shareOf({ ratio, byEndpoint }: Shares): (endpoint: string) => number {
  const own = new Map(Object.entries(byEndpoint));
  if (own.size === 0) return () => ratio;
  return (endpoint) => own.get(endpoint) ?? ratio;
}

/** Whether anything can be drawn at all. */
export function drawsNothing({ ratio, byEndpoint }: Shares): boolean {
  return ratio === 0 && Object.values(byEndpoint).every((own) => own === 0);
}

export interface Rate {
  /** How many of `wanted` may go now. */
  take(wanted: number): number;
}

/**
 * What comes faster is taken in runs of so many: a row by itself, now and then, finds nothing of the log's code and memory
 * in the processor's caches, and costs three times as much.
 */
const RUN_ROWS = 16;

/** Up to a second's worth at once, and no more than that a second. */
export function createRate(perSecond: number): Rate {
  const runRows = Math.min(RUN_ROWS, perSecond);
  let tokens = perSecond;
  let isSpent = false;
  let refilledAtMs = performance.now();
  return {
    take(wanted) {
      const nowMs = performance.now();
      tokens = Math.min(perSecond, tokens + ((nowMs - refilledAtMs) * perSecond) / 1000);
      refilledAtMs = nowMs;
      if (isSpent && tokens < runRows) return 0;
      const taken = Math.min(wanted, Math.floor(tokens));
      tokens -= taken;
      isSpent = tokens < 1;
      return taken;
    },
  };
}
