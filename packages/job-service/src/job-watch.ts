/** Waiting for a job to change: those who long-poll are woken when it does, or when their wait is over. Bounded. */
import { AssayError } from '@assay/contracts';

export interface JobWatch {
  changed(jobId: string): void;
  /**
   * Resolves when the job changes, when `waitMs` is over, or when the watch is closed.
   * @throws AssayError OVERLOADED when too many wait; what `signal` was aborted with
   */
  wait(jobId: string, waitMs: number, signal: AbortSignal): Promise<void>;
  /** Wakes all, and lets none wait any more. */
  close(): void;
}

export function createJobWatch({ maxWaiters }: { readonly maxWaiters: number }): JobWatch {
  const waiting = new Map<string, Set<() => void>>();
  let waiters = 0;
  let isClosed = false;
  const wakeAll = (jobId: string) => {
    for (const wake of [...(waiting.get(jobId) ?? [])]) wake();
  };
  return {
    changed: wakeAll,
    wait(jobId, waitMs, signal) {
      if (isClosed || waitMs <= 0) return Promise.resolve();
      if (signal.aborted) return Promise.reject(signal.reason);
      if (waiters >= maxWaiters) {
        const message = `${maxWaiters} calls wait for a job already; come back later`;
        return Promise.reject(new AssayError('OVERLOADED', message, { retryAfterMs: 1000 }));
      }
      return new Promise((resolve, reject) => {
        const mine = waiting.get(jobId) ?? new Set();
        waiting.set(jobId, mine);
        const leave = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', abort);
          waiters--;
          mine.delete(wake);
          if (mine.size === 0) waiting.delete(jobId);
        };
        const wake = () => {
          leave();
          resolve();
        };
        const abort = () => {
          leave();
          reject(signal.reason);
        };
        const timer = setTimeout(wake, waitMs);
        signal.addEventListener('abort', abort, { once: true });
        mine.add(wake);
        waiters++;
      });
    },
    close() {
      isClosed = true;
      for (const jobId of [...waiting.keys()]) wakeAll(jobId);
    },
  };
}
