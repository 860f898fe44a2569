/**
 * Streams score at lower priority than requests: one slice of records at a time in the whole process, begun only when no
 * rows wait, and each so short that a request which comes meanwhile hardly notices.
 */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import type { LoadedVersion } from '../domain/version.ts';

/** How long a run of a slice may hold the event loop, if the model allows. */
const SLICE_MS = 2;
/** A slice begins after so long whatever waits, so that requests without end do not stop the streams for ever. */
const STARVATION_MS = 100;

export interface Turns {
  /** Runs `slice` when it is its turn. @throws what it throws, or the reason of `signal` while it waits */
  take<T>(slice: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

export function createTurns(queuedRows: () => number): Turns {
  let last: Promise<unknown> = Promise.resolve();
  const untilQuiet = async (signal: AbortSignal): Promise<void> => {
    const since = performance.now();
    await nextTurn(undefined, { signal }); // what has arrived is read first
    while (queuedRows() > 0 && performance.now() - since < STARVATION_MS) await delay(1, undefined, { signal });
  };
  return {
    take(slice, signal) {
      const turn = last.then(async () => {
        await untilQuiet(signal);
        return slice();
      });
      last = turn.catch(() => undefined); // whoever took the turn sees it; the next one comes all the same
      return turn;
    },
  };
}

/** How many rows a slice has: one run of at most `SLICE_MS`, or of twice what one row costs by itself. */
export function sliceRows({ measured, maxBatchRows }: Pick<LoadedVersion, 'measured' | 'maxBatchRows'>): number {
  const { oneRowMs, fullBatchMs } = measured;
  const more = fullBatchMs - oneRowMs;
  const budgetMs = Math.max(SLICE_MS, 2 * oneRowMs);
  if (more <= 0 || fullBatchMs <= budgetMs) return maxBatchRows;
  return Math.max(1, Math.min(maxBatchRows, 1 + Math.floor(((budgetMs - oneRowMs) * (maxBatchRows - 1)) / more)));
}

/** How many records are scored within `budgetMs` when nothing else runs. */
export function rowsWithin(version: Pick<LoadedVersion, 'measured' | 'maxBatchRows'>, budgetMs: number): number {
  const { fullBatchMs } = version.measured;
  return Math.max(1, Math.floor((budgetMs * version.maxBatchRows) / Math.max(fullBatchMs, 1e-3)));
}
