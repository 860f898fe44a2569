/**
 * A rate that is kept by looking at the clock: the generic cell rate algorithm, a token bucket without a timer
 * (https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm). What was taken is paid off with time; no more than a burst
 * of it may be owed.
 */
export class Pace {
  #perSecond: number;
  #burstMs: number;
  /** Until when what was taken so far is paid off. */
  #paidAtMs = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number, burstMs: number) {
    this.#perSecond = perSecond;
    this.#burstMs = burstMs;
  }

  /** From now on; what is owed stays owed. */
  change(perSecond: number, burstMs: number): void {
    this.#perSecond = perSecond;
    this.#burstMs = burstMs;
  }

  /**
   * Takes `count`, or nothing.
   * @returns 0 when they were taken, else in how many milliseconds they would be
   */
  take(count: number, nowMs: number): number {
    const from = Math.max(this.#paidAtMs, nowMs);
    const until = from + (count * 1000) / this.#perSecond;
    // What alone is more than a burst could never be taken otherwise: it goes when nothing is owed.
    if (from > nowMs && until - nowMs > this.#burstMs) return Math.min(from, until - this.#burstMs) - nowMs;
    this.#paidAtMs = until;
    return 0;
  }
}
