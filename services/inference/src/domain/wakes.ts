/**
 * Requests to versions that rest. The first one begins to load its version, all of them wait for that one load, each no
 * longer than its deadline; the load goes on when they have gone, so that who comes back finds it done. A version that
 * cannot be loaded again is tried with growing pauses, when it is asked for, and touches no other.
 */
import { AssayError, type RoutedVersion } from '@assay/contracts';
import { type Backoff, backoffMs } from './backoff.ts';
import type { LiveVersion } from './live-set.ts';
import type { LoadedVersion, RunOptions, ServingObserver } from './version.ts';

export interface WakesOptions {
  /** Loads it; when it resolves, the version rests no more. */
  readonly load: (live: LiveVersion, stop: AbortSignal) => Promise<void>;
  readonly retry: Backoff;
  readonly observer: Pick<ServingObserver, 'versionWoken' | 'versionFailed'>;
}

/** Why a version that rests could not be loaded again. */
export interface WakeFailure {
  readonly error: Error;
  readonly attempt: number;
  /** On the clock of `performance.now()`: it is not tried before. */
  readonly retryAtMs: number;
}

interface Wake {
  readonly done: Promise<void>;
  readonly stop: AbortController;
}

/** Requests that wait, for all versions together: each holds its body in memory. */
const MAX_WAITERS = 4096;
const COME_BACK_MS = 1000;

export class Wakes {
  readonly #options: WakesOptions;
  readonly #running = new Map<LiveVersion, Wake>();
  #waiters = 0;

  constructor(options: WakesOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the version can score.
   * @throws UNAVAILABLE with a time to come back: it cannot be loaded, or not in time; OVERLOADED; CANCELLED
   */
  async wait(live: LiveVersion, options: RunOptions): Promise<void> {
    const { failure, version } = live;
    const pauseMs = (failure?.retryAtMs ?? 0) - performance.now();
    if (failure !== undefined && pauseMs > 0) throw cannotWake(version, failure.error, pauseMs);
    if (this.#waiters >= MAX_WAITERS) {
      throw new AssayError('OVERLOADED', `${MAX_WAITERS} requests wait for models to be loaded into memory`, {
        retryAfterMs: COME_BACK_MS,
      });
    }
    this.#waiters++;
    try {
      await untilDeadline(this.#wake(live).done, version, options);
    } finally {
      this.#waiters--;
    }
  }

  /** Gives up loading it. Resolves when nothing of that runs. */
  async stop(live: LiveVersion): Promise<void> {
    const running = this.#running.get(live);
    running?.stop.abort();
    await running?.done.catch(() => {}); // told to who waited
  }

  #wake(live: LiveVersion): Wake {
    const running = this.#running.get(live);
    if (running !== undefined) return running;
    const stop = new AbortController();
    const done = this.#load(live, stop.signal).finally(() => this.#running.delete(live));
    done.catch(() => {}); // those who wait hear of it; all of them may have gone
    const wake = { done, stop };
    this.#running.set(live, wake);
    return wake;
  }

  async #load(live: LiveVersion, stop: AbortSignal): Promise<void> {
    const { load, observer, retry } = this.#options;
    const startedAtMs = performance.now();
    try {
      await load(live, stop);
      live.failure = undefined;
      observer.versionWoken(live.version, performance.now() - startedAtMs);
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : AssayError.from(thrown);
      if (stop.aborted) throw error;
      const attempt = (live.failure?.attempt ?? 0) + 1;
      const retryInMs = backoffMs(retry, attempt);
      live.failure = { error, attempt, retryAtMs: performance.now() + retryInMs };
      observer.versionFailed(live.version, error, attempt, retryInMs);
      throw cannotWake(live.version, error, retryInMs);
    }
  }
}

/** What stays of a version that rests: what is known of it, and none of its memory. */
export function atRest(loaded: LoadedVersion): LoadedVersion {
  const { signature, outputTails, details, measured, maxBatchRows, repeatable, findings } = loaded;
  const refuse = () => Promise.reject(new AssayError('INTERNAL', 'a version was asked to score while it rested'));
  return {
    signature,
    outputTails,
    details,
    measured,
    maxBatchRows,
    repeatable,
    findings,
    score: refuse,
    explain: refuse,
    queuedRows: 0,
    close: async () => {},
  };
}

function untilDeadline(done: Promise<void>, version: RoutedVersion, { deadlineMs, signal }: RunOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => end(() => reject(new AssayError('CANCELLED', 'the caller has gone')));
    const onLate = (): void => end(() => reject(tooLate(version)));
    const timer = setTimeout(onLate, Math.max(0, deadlineMs - performance.now()));
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    done.then(
      () => end(resolve),
      (error: unknown) => end(() => reject(error)),
    );
  });
}

function tooLate(version: RoutedVersion): AssayError {
  return new AssayError(
    'UNAVAILABLE',
    `${nameOf(version)} was unloaded to save memory, and could not be loaded again within the request's deadline; it is still being loaded`,
    { retryAfterMs: COME_BACK_MS },
  );
}

function cannotWake(version: RoutedVersion, error: Error, retryInMs: number): AssayError {
  return new AssayError(
    'UNAVAILABLE',
    `${nameOf(version)} was unloaded to save memory, and cannot be loaded again: ${error.message}`,
    { retryAfterMs: Math.ceil(retryInMs), cause: error },
  );
}

function nameOf({ modelName, version }: RoutedVersion): string {
  return `version ${version} of "${modelName}"`;
}
