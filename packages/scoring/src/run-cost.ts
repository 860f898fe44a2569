/** What runs are expected to take, from the warm-up and from what they took since. */

/** How much of the newest observation goes into a running mean. */
const WEIGHT = 0.1;
/**
 * The same for the deviation from it, and how many deviations are allowed for: as in RFC 6298, for the same purpose. But
 * what was calm for a moment is not trusted as soon.
 */
const DEVIATION_WEIGHT = 0.25;
const CALM_WEIGHT = 0.05;
const DEVIATIONS = 4;
/** The warm-up is not trusted further than this factor, either way. */
const MAX_SCALE = 20;

export interface RunCost {
  /** Of so many rows, in as many runs as they need. */
  expectedMs(rows: number): number;
  /**
   * What callers wait besides the runs, hardly ever more: reading, decoding and answering others in the same turns of the
   * event loop, and runs that took longer than expected. Waits vary, and who is promised the mean is late every other time.
   * But the room for that is no longer than the runs ahead: where callers wait for the event loop and hardly for runs, a
   * refusal costs it as much as an answer, waits would be as long without a row run, and it would refuse for ever.
   * @param runsMs what the runs ahead are expected to take
   */
  overheadMs(runsMs: number): number;
  observeRun(rows: number, tookMs: number): void;
  observeOverhead(ms: number): void;
}

export function runCost(measured: { oneRowUs: number; fullBatchUs: number }, maxBatchRows: number): RunCost {
  const { oneRowUs, fullBatchUs } = measured;
  const rowMs = maxBatchRows > 1 ? Math.max(0, fullBatchUs - oneRowUs) / (maxBatchRows - 1) / 1000 : oneRowUs / 1000;
  const runMs = Math.max(0, oneRowUs / 1000 - rowMs);
  let scale = 1;
  let meanMs = 0;
  let deviationMs = 0;
  const unscaledMs = (rows: number): number => Math.ceil(rows / maxBatchRows) * runMs + rows * rowMs;
  return {
    expectedMs: (rows) => unscaledMs(rows) * scale,
    overheadMs: (runsMs) => Math.max(0, meanMs + Math.min(DEVIATIONS * deviationMs, runsMs)),
    observeRun(rows, tookMs) {
      const expected = unscaledMs(rows);
      if (expected <= 0) return;
      const ratio = Math.min(MAX_SCALE, Math.max(1 / MAX_SCALE, tookMs / expected));
      scale += WEIGHT * (ratio - scale);
    },
    observeOverhead(ms) {
      const error = Math.abs(ms - meanMs) - deviationMs;
      deviationMs += (error > 0 ? DEVIATION_WEIGHT : CALM_WEIGHT) * error;
      meanMs += WEIGHT * (ms - meanMs);
    },
  };
}
