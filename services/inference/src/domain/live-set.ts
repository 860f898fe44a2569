/**
 * The versions in memory. It is told which ones are wanted; it loads those that are missing, a few at a time, and unloads
 * those that no one wants once the last request on them is answered. One version's failure is its own: it is retried
 * with growing pauses and touches no other.
 */
import { AssayError, type RoutedVersion } from '@assay/contracts';
import { type Backoff, backoffMs } from './backoff.ts';
import { Slots } from './slots.ts';
import type { LoadedVersion, LoadVersion, ServingObserver } from './version.ts';

export interface LiveSetOptions {
  readonly load: LoadVersion;
  readonly observer: Pick<ServingObserver, 'versionLoaded' | 'versionFailed' | 'versionUnloaded'>;
  readonly maxConcurrentLoads: number;
  readonly loadTimeoutMs: number;
  readonly retry: Backoff;
}

/** A version that can score. */
export interface LiveVersion {
  readonly version: RoutedVersion;
  readonly loaded: LoadedVersion;
  /** Requests that run on it now. */
  requests: number;
}

export type VersionState =
  | { readonly is: 'absent' }
  | { readonly is: 'loading' }
  | { readonly is: 'live'; readonly live: LiveVersion }
  | { readonly is: 'failed'; readonly error: Error; readonly attempt: number };

interface Loading {
  readonly version: RoutedVersion;
  readonly stop: AbortController;
  failure: { error: Error; attempt: number } | undefined;
}

const ABSENT: VersionState = { is: 'absent' };
const LOADING: VersionState = { is: 'loading' };

export class LiveSet {
  readonly #options: LiveSetOptions;
  readonly #slots: Slots;
  readonly #loading = new Map<string, Loading>();
  readonly #live = new Map<string, LiveVersion>();
  /** Versions that left the set and are answering their last requests; called when there are none left. */
  readonly #draining = new Map<LiveVersion, () => void>();
  readonly #unloading = new Set<Promise<void>>();
  #retired = 0;
  #onChange: () => void = () => {};
  #closed = false;

  constructor(options: LiveSetOptions) {
    this.#options = options;
    this.#slots = new Slots(options.maxConcurrentLoads);
  }

  /** `listener` is called whenever a version became live or failed. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  /** How many versions are in memory, those that drain included. */
  get size(): number {
    return this.#live.size + this.#retired;
  }

  /** Rows that wait, in all versions together. */
  get queuedRows(): number {
    let rows = 0;
    for (const { loaded } of this.#live.values()) rows += loaded.queuedRows;
    return rows;
  }

  state(versionId: string): VersionState {
    const live = this.#live.get(versionId);
    if (live !== undefined) return { is: 'live', live };
    const loading = this.#loading.get(versionId);
    if (loading === undefined) return ABSENT;
    return loading.failure === undefined ? LOADING : { is: 'failed', ...loading.failure };
  }

  /** Makes the set of versions in memory what `versions` says: starts what is missing, lets go of the rest. */
  want(versions: Iterable<RoutedVersion>): void {
    if (this.#closed) return;
    const wanted = new Map<string, RoutedVersion>();
    for (const version of versions) wanted.set(version.id, version);
    for (const [id, loading] of this.#loading) {
      if (!wanted.has(id)) {
        this.#loading.delete(id);
        loading.stop.abort();
      }
    }
    for (const [id, live] of this.#live) {
      if (!wanted.has(id)) {
        this.#live.delete(id);
        this.#retire(live);
      }
    }
    for (const [id, version] of wanted) {
      if (!this.#live.has(id) && !this.#loading.has(id)) {
        const loading: Loading = { version, stop: new AbortController(), failure: undefined };
        this.#loading.set(id, loading);
        void this.#loadUntilLive(loading);
      }
    }
  }

  /** A request starts on it: it stays in memory until `release`. Synchronous with the routing that chose it. */
  acquire(live: LiveVersion): void {
    live.requests++;
  }

  release(live: LiveVersion): void {
    live.requests--;
    if (live.requests === 0) this.#draining.get(live)?.();
  }

  /** Stops all loads, waits for the requests that run, unloads everything. */
  async close(): Promise<void> {
    this.want([]);
    this.#closed = true;
    while (this.#unloading.size > 0) await Promise.all(this.#unloading);
  }

  async #loadUntilLive(loading: Loading): Promise<void> {
    const { version, stop } = loading;
    const { load, observer, loadTimeoutMs, retry } = this.#options;
    for (let attempt = 1; !stop.signal.aborted; attempt++) {
      try {
        const startedAt = performance.now();
        const loaded = await this.#slots.run(
          () => within(loadTimeoutMs, stop.signal, (signal) => load(version, signal)),
          stop.signal,
        );
        if (stop.signal.aborted) {
          await loaded.close();
          return;
        }
        this.#loading.delete(version.id);
        this.#live.set(version.id, { version, loaded, requests: 0 });
        observer.versionLoaded(version, performance.now() - startedAt, this.size);
        this.#onChange();
        return;
      } catch (thrown) {
        if (stop.signal.aborted) return;
        const error = thrown instanceof Error ? thrown : AssayError.from(thrown);
        const retryInMs = backoffMs(retry, attempt);
        loading.failure = { error, attempt };
        observer.versionFailed(version, error, attempt, retryInMs);
        this.#onChange();
        await pause(retryInMs, stop.signal);
      }
    }
  }

  #retire(live: LiveVersion): void {
    this.#retired++;
    const done = this.#unload(live).finally(() => this.#unloading.delete(done));
    this.#unloading.add(done);
  }

  async #unload(live: LiveVersion): Promise<void> {
    if (live.requests > 0) await new Promise<void>((resolve) => this.#draining.set(live, resolve));
    this.#draining.delete(live);
    await live.loaded.close();
    this.#retired--;
    this.#options.observer.versionUnloaded(live.version, this.size);
  }
}

/** Gives up waiting after `timeoutMs`; what comes later is closed. */
async function within(
  timeoutMs: number,
  stop: AbortSignal,
  load: (signal: AbortSignal) => Promise<LoadedVersion>,
): Promise<LoadedVersion> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), timeoutMs);
  const signal = AbortSignal.any([stop, timeout.signal]);
  const loading = load(signal);
  try {
    return await new Promise<LoadedVersion>((resolve, reject) => {
      loading.then(resolve, reject);
      timeout.signal.addEventListener('abort', () =>
        reject(new AssayError('UNAVAILABLE', `the version was not loaded within ${timeoutMs} ms`)),
      );
    });
  } catch (error) {
    loading.then(
      (late) => late.close(),
      () => {},
    );
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Waits, or less if `signal` is aborted. */
export function pause(forMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, forMs);
    signal.addEventListener('abort', end, { once: true });
  });
}
