import type { ErrorCode } from '@assay/contracts';
import type { PendingCount, ScoredRows } from '@assay/scoring';

/** What was scored by one version at one endpoint since it was loaded, as sums, and what waits: for who asks instead of scraping. */
export class ScoreStatistics implements PendingCount {
  requests = 0;
  rows = 0;
  readonly failuresByCode = new Map<ErrorCode, number>();
  totalMs = 0;
  queueMs = 0;
  inferenceMs = 0;
  /** Requests of which no row was run, and how long they took. */
  cachedRequests = 0;
  cachedMs = 0;
  /** Rows that were not run, of any request. */
  cachedRows = 0;
  /** Requests with a row that their cache did not know. */
  cacheMisses = 0;
  /** Requests that wait now: for a run of the model, or for a version that rests to be loaded again. */
  pendingRequests = 0;
  /** On the clock of `Date.now()`; 0 before the first. */
  lastAtMs = 0;
  #runs = 0;

  /** Runs of the model; each counts once, whoever shared it. */
  get runs(): number {
    return Math.round(this.#runs);
  }

  get failures(): number {
    let failures = 0;
    for (const count of this.failuresByCode.values()) failures += count;
    return failures;
  }

  failed(code: ErrorCode): void {
    this.failuresByCode.set(code, (this.failuresByCode.get(code) ?? 0) + 1);
  }

  scored({ rows, batchRows, queueMs, inferenceMs, cached }: ScoredRows, totalMs: number): void {
    this.requests++;
    this.rows += rows;
    this.totalMs += totalMs;
    this.lastAtMs = Date.now();
    const cachedRows = cached?.size ?? 0;
    const ranRows = rows - cachedRows;
    this.cachedRows += cachedRows;
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
