/** What was scored by one version at one endpoint since it was loaded, as sums: for who asks instead of scraping. */
export class ScoreStatistics {
  requests = 0;
  rows = 0;
  failures = 0;
  totalMs = 0;
  queueMs = 0;
  inferenceMs = 0;
  /** On the clock of `Date.now()`; 0 before the first. */
  lastAtMs = 0;
  #runs = 0;

  /** Runs of the model; each counts once, whoever shared it. */
  get runs(): number {
    return Math.round(this.#runs);
  }

  scored(rows: number, batchRows: number, queueMs: number, inferenceMs: number, totalMs: number): void {
    this.requests++;
    this.rows += rows;
    this.#runs += rows / batchRows;
    this.queueMs += queueMs;
    this.inferenceMs += inferenceMs;
    this.totalMs += totalMs;
    this.lastAtMs = Date.now();
  }
}
