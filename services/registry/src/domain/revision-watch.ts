/**
 * Waiting for the next revision of a snapshot (routing, keys): those who long-poll are woken when it comes, when their wait is over, when they
 * go away, or when the registry stops. Their number is bounded.
 */
import { AssayError } from '@assay/contracts';

export interface RevisionWatch {
  /** The revision that was last told. */
  readonly revision: number;
  readonly waiters: number;
  /** A later revision is durable. */
  advance(revision: number): void;
  /**
   * Resolves when the revision is above `after`, when `waitMs` is over, or when the watch is closed.
   * @throws AssayError OVERLOADED when too many wait; what `signal` was aborted with
   */
  waitBeyond(after: number, waitMs: number, signal: AbortSignal): Promise<void>;
  /** Wakes all, and lets none wait any more. */
  close(): void;
}

export interface RevisionWatchOptions {
  readonly revision: number;
  readonly maxWaiters: number;
  /** What they wait for, in a message: `routing change`. */
  readonly what?: string;
  /** Told when the number of waiters changes. */
  readonly onWaiters?: (waiters: number) => void;
}

export function createRevisionWatch(options: RevisionWatchOptions): RevisionWatch {
  let revision = options.revision;
  let closed = false;
  const waiting = new Set<() => void>();

  return {
    get revision() {
      return revision;
    },
    get waiters() {
      return waiting.size;
    },
    advance(next) {
      if (next <= revision) return;
      revision = next;
      for (const wake of [...waiting]) wake();
    },
    waitBeyond(after, waitMs, signal) {
      if (closed || revision > after || waitMs <= 0) return Promise.resolve();
      if (signal.aborted) return Promise.reject(signal.reason);
      if (waiting.size >= options.maxWaiters) {
        return Promise.reject(
          new AssayError(
            'OVERLOADED',
            `${options.maxWaiters} calls wait for the next ${options.what ?? 'change'} already; come back later`,
            {
              retryAfterMs: 1000,
            },
          ),
        );
      }
      return new Promise((resolve, reject) => {
        const leave = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', abort);
          waiting.delete(wake);
          options.onWaiters?.(waiting.size);
        };
        const wake = (): void => {
          leave();
          resolve();
        };
        const abort = (): void => {
          leave();
          reject(signal.reason);
        };
        const timer = setTimeout(wake, waitMs);
        signal.addEventListener('abort', abort, { once: true });
        waiting.add(wake);
        options.onWaiters?.(waiting.size);
      });
    },
    close() {
      closed = true;
      for (const wake of [...waiting]) wake();
    },
  };
}
