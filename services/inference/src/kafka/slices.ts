/** How many records are scored at a time: by what the model was measured to cost. */
import type { LoadedVersion } from '../domain/version.ts';

/** How long a run may hold the thread, if the model allows: its other partitions wait as long. */
const SLICE_MS = 5;

type Cost = Pick<LoadedVersion, 'measured' | 'maxBatchRows'>;

/** How many rows a slice has: one run of at most `SLICE_MS`, or of twice what one row costs by itself. */
export function sliceRows({ measured, maxBatchRows }: Cost): number {
  const { oneRowMs, fullBatchMs } = measured;
  const more = fullBatchMs - oneRowMs;
  const budgetMs = Math.max(SLICE_MS, 2 * oneRowMs);
  if (more <= 0 || fullBatchMs <= budgetMs) return maxBatchRows;
  return Math.max(1, Math.min(maxBatchRows, 1 + Math.floor(((budgetMs - oneRowMs) * (maxBatchRows - 1)) / more)));
}

/** How many records are scored within `budgetMs` when nothing else runs. */
export function rowsWithin(version: Cost, budgetMs: number): number {
  const { fullBatchMs } = version.measured;
  return Math.max(1, Math.floor((budgetMs * version.maxBatchRows) / Math.max(fullBatchMs, 1e-3)));
}
