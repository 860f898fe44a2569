import type { ScoredRows } from '@assay/scoring';

/** What was scored by one version at one endpoint since it was loaded, as sums: for who asks instead of scraping. */
export class ScoreStatistics {
  requests = 0;
  rows = 0;
  failures = 0;
  totalMs = 0;
  queueMs = 0;
  inferenceMs = 0;
  /** Requests of which no row was run, and how long they took. */
  cachedRequests = 0;
  cachedMs = 0;
  /** Requests with a row that their cache did not know. */
  cacheMisses = 0;
  /** On the clock of `Date.now()`; 0 before the first. */
  lastAtMs = 0;
  #runs = 0;

  /** Runs of the model; each counts once, whoever shared it. */
  get runs(): number {
    return Math.round(this.#runs);
  }

  scored({ rows, batchRows, queueMs, inferenceMs, cached }: ScoredRows, totalMs: number): void {
    this.requests++;
    this.rows += rows;
    this.totalMs += totalMs;
    this.lastAtMs = Date.now();
    const ranRows = cached === undefined ? rows : rows - cached.size;
    if (ranRows === 0) {
      this.cachedRequests++;
      this.cachedMs += totalMs;
      return;
    }
    this.#runs += ranRows / batchRows;
    this.queueMs += queueMs;
    this.inferenceMs += inferenceMs;
  }
}
