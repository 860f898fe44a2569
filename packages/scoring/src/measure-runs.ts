/** What runs of a graph take, and how many rows a run should have where there are always more. */
import { breather, sameRows } from './batch-invariance.ts';
import type { PackedInputBatch } from './input-batch.ts';
import type { Batching, Scorer } from './interfaces.ts';
import { batchOf, type LoadedGraph, runRows } from './runner.ts';

/** A cost is measured over so many runs, or for so long. */
const MEASURED_RUNS = 15;
const MEASURED_MS = 50;
/** Long runs hold up what shares their thread for no longer. */
const MAX_LONG_RUN_US = 5000;
/** What a run costs around the graph is not in what is measured: shorter ones must be cheaper by as much. */
const WORTH_MORE_RUNS = 0.95;

type Measured = Scorer['measured'];

/** Runs of so many rows at most, and what they take. */
export interface MeasuredRuns {
  readonly rows: number;
  readonly measured: Measured;
}

export async function measureBoth(
  graph: LoadedGraph,
  batch: PackedInputBatch,
  plan: { batching: Batching; maxBatchRows: number },
): Promise<Measured> {
  return {
    oneRowUs: await measure(graph, batch, 1, plan),
    fullBatchUs: await measure(graph, batch, plan.maxBatchRows, plan),
  };
}

/**
 * The cheapest runs by the row: of `longest` rows, or of a half, a quarter, …, as many as are longer than usual, short in
 * time, and give the bits that usual ones give. What a graph holds between its nodes grows with the rows, and beyond some
 * number leaves the core's cache.
 * @returns undefined where no longer ones can be had
 */
export async function longRun(
  graph: LoadedGraph,
  records: readonly unknown[],
  { batching, batchInvariant }: Pick<Scorer, 'batching' | 'batchInvariant'>,
  usual: MeasuredRuns,
  longest: number,
): Promise<MeasuredRuns | undefined> {
  if (batching.mode === 'row' || !batchInvariant) return undefined;
  const found: MeasuredRuns[] = [];
  for (let rows = longest; rows > usual.rows; rows = Math.floor(rows / 2)) {
    if ((usual.measured.fullBatchUs * rows) / usual.rows > MAX_LONG_RUN_US) continue;
    const batch = batchOf(
      graph,
      Array.from({ length: rows }, (_, i) => records[i % records.length]),
    );
    const plan = { batching, maxBatchRows: rows };
    const expected = await runRows(graph, batch, 0, rows, { batching, maxBatchRows: usual.rows });
    if (!sameRows(expected, await runRows(graph, batch, 0, rows, plan))) continue;
    found.push({ rows, measured: await measureBoth(graph, batch, plan) });
  }
  return cheapest(found);
}

/** By the row; of those that cost about the same, the longest. */
export function cheapest(runs: readonly MeasuredRuns[]): MeasuredRuns | undefined {
  const rowUs = ({ rows, measured }: MeasuredRuns): number => measured.fullBatchUs / rows;
  const leastUs = Math.min(...runs.map(rowUs));
  return runs.toSorted((a, b) => b.rows - a.rows).find((each) => rowUs(each) * WORTH_MORE_RUNS <= leastUs);
}

/** Median time of a run of so many rows, µs. */
async function measure(
  graph: LoadedGraph,
  batch: PackedInputBatch,
  rows: number,
  plan: { batching: Batching; maxBatchRows: number },
): Promise<number> {
  const breathe = breather();
  const timesMs: number[] = [];
  const until = performance.now() + MEASURED_MS;
  do {
    await breathe();
    const start = performance.now();
    await runRows(graph, batch, 0, Math.min(rows, batch.rows), plan);
    timesMs.push(performance.now() - start);
  } while (timesMs.length < MEASURED_RUNS && performance.now() < until);
  timesMs.sort((a, b) => a - b);
  return (timesMs[timesMs.length >> 1] ?? 0) * 1000;
}
