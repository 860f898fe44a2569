/**
 * A lease: the right to do something alone, for a time, renewed while the work goes on. Its holder works under a signal
 * that aborts when the lease could not be renewed in time; then another may have it.
 */

import { AssayError } from '@assay/contracts';
import type { Logger } from '@assay/runtime';

export interface LeaseStore {
  /** Takes it if it is free, has run out, or is `owner`'s already. */
  acquire(owner: string, untilMs: number): Promise<boolean>;
  /** Prolongs it if it is still `owner`'s. */
  renew(owner: string, untilMs: number): Promise<boolean>;
}

/**
 * Runs `work` if the lease can be had, and says whether. `work` gives the lease up itself, with its last write.
 * @param options.signal ends the work as well
 */
export async function withLease(
  store: LeaseStore,
  options: {
    readonly owner: string;
    readonly leaseMs: number;
    readonly signal: AbortSignal;
    readonly log: Pick<Logger, 'warn'>;
  },
  work: (signal: AbortSignal) => Promise<void>,
): Promise<boolean> {
  const { owner, leaseMs, log } = options;
  let untilMs = Date.now() + leaseMs;
  if (!(await store.acquire(owner, untilMs))) return false;
  const lost = new AbortController();
  const loseIt = (): void => lost.abort(new AssayError('UNAVAILABLE', 'the lease has run out; another may be at work'));
  let expiry = setTimeout(loseIt, leaseMs);
  let renewing = false;
  const renewal = setInterval(async () => {
    if (renewing || lost.signal.aborted) return;
    renewing = true;
    try {
      untilMs = Date.now() + leaseMs;
      if (await store.renew(owner, untilMs)) {
        clearTimeout(expiry);
        expiry = setTimeout(loseIt, Math.max(0, untilMs - Date.now()));
      } else loseIt();
    } catch (error) {
      log.warn({ err: error }, 'a lease could not be renewed; trying again while it lasts');
    } finally {
      renewing = false;
    }
  }, leaseMs / 3);
  try {
    await work(AbortSignal.any([options.signal, lost.signal]));
  } finally {
    clearInterval(renewal);
    clearTimeout(expiry);
  }
  return true;
}
