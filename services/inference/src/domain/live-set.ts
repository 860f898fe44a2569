/**
 * The versions that can score. It is told which ones are wanted; it loads those that are missing, a few at a time, and
 * unloads those that no one wants once the last request on them is answered. One version's failure is its own: it is
 * retried with growing pauses and touches no other.
 *
 * Where their memory is bounded, those that were used longest ago rest: they are unloaded, what is known of them stays,
 * and the next request wakes them. One that answers requests never does.
 */
import { AssayError, type RoutedVersion } from '@assay/contracts';
import { type Backoff, backoffMs } from './backoff.ts';
import { MemoryBudget } from './memory-budget.ts';
import { Slots } from './slots.ts';
import type { LoadedVersion, LoadVersion, RunOptions, ServingObserver } from './version.ts';
import { atRest, type WakeFailure, Wakes } from './wakes.ts';
import { within } from './within.ts';

export interface LiveSetOptions {
  readonly load: LoadVersion;
  readonly observer: Pick<
    ServingObserver,
    'versionLoaded' | 'versionFailed' | 'versionUnloaded' | 'versionRested' | 'versionWoken'
  >;
  readonly maxConcurrentLoads: number;
  readonly loadTimeoutMs: number;
  readonly retry: Backoff;
  /** Without it versions stay in memory for as long as they are wanted. */
  readonly memory?: MemoryLimit | undefined;
}

export interface MemoryLimit {
  readonly maxBytes: number;
  /** What the version is taken to hold when it is loaded; from `loaded` on it is known where it runs. */
  readonly sizeOf: (version: RoutedVersion, loaded?: LoadedVersion) => number;
}

/** A version that can score. */
export interface LiveVersion {
  readonly version: RoutedVersion;
  /** While it rests: what is known of it, and nothing that scores. */
  loaded: LoadedVersion;
  /** Requests that run on it, or wait for it, now. */
  requests: number;
  /** Whether it is to be woken before it scores. */
  isResting: boolean;
  /** Grows with each use of any version: the lowest was used longest ago. */
  lastUse: number;
  /** Why it could not be woken when that was last tried. */
  failure: WakeFailure | undefined;
}

export type VersionState =
  | { readonly is: 'absent' }
  | { readonly is: 'loading' }
  | { readonly is: 'live'; readonly live: LiveVersion }
  | { readonly is: 'failed'; readonly error: Error; readonly attempt: number };

/** A loaded version and what of the budget it holds. */
interface Held {
  readonly loaded: LoadedVersion;
  readonly bytes: number;
}

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
  /** Apart, so that no request waits for a download that hangs. */
  readonly #wakeSlots: Slots;
  readonly #wakes: Wakes;
  readonly #budget: MemoryBudget | undefined;
  readonly #loading = new Map<string, Loading>();
  readonly #live = new Map<string, LiveVersion>();
  /** Versions that left the set and are answering their last requests; called when there are none left. */
  readonly #draining = new Map<LiveVersion, () => void>();
  readonly #unloading = new Set<Promise<void>>();
  #retired = 0;
  #resting = 0;
  #firstLoads = 0;
  #uses = 0;
  #onChange: (versionId: string) => void = () => {};
  #closed = false;

  constructor(options: LiveSetOptions) {
    this.#options = options;
    this.#slots = new Slots(options.maxConcurrentLoads);
    this.#wakeSlots = new Slots(options.maxConcurrentLoads);
    const { memory, retry, observer } = options;
    if (memory !== undefined) {
      this.#budget = new MemoryBudget({ maxBytes: memory.maxBytes, evict: () => this.#restOne() });
    }
    this.#wakes = new Wakes({ load: (live, stop) => this.#wakeUp(live, stop), retry, observer });
  }

  /** `listener` is called whenever a version became live or failed. */
  onChange(listener: (versionId: string) => void): void {
    this.#onChange = listener;
  }

  /** How many versions are in memory, those that drain included. */
  get size(): number {
    return this.#live.size + this.#retired - this.#resting;
  }

  /** How many versions the next request would have to wake. */
  get resting(): number {
    return this.#resting;
  }

  /** What the versions in memory are taken to hold; 0 where it is not bounded. */
  get heldBytes(): number {
    return this.#budget?.heldBytes ?? 0;
  }

  /** Versions that have neither loaded nor failed yet. */
  get firstLoads(): number {
    return this.#firstLoads;
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
        if (loading.failure === undefined) this.#firstLoads--;
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
        this.#firstLoads++;
        void this.#loadUntilLive(loading);
      }
    }
  }

  /** A request starts on it: it stays in memory until `release`. Synchronous with the routing that chose it. */
  acquire(live: LiveVersion): void {
    live.requests++;
    live.lastUse = ++this.#uses;
  }

  release(live: LiveVersion): void {
    live.requests--;
    if (live.requests > 0) return;
    this.#draining.get(live)?.();
    this.#mayRest();
  }

  /**
   * Loads a version that rests, for a request that has acquired it.
   * @throws UNAVAILABLE with a time to come back, when it cannot be loaded or not in time; OVERLOADED; CANCELLED
   */
  wake(live: LiveVersion, options: RunOptions): Promise<void> {
    return this.#wakes.wait(live, options);
  }

  /** Stops all loads, waits for the requests that run, unloads everything. */
  async close(): Promise<void> {
    this.want([]);
    this.#closed = true;
    while (this.#unloading.size > 0) await Promise.all(this.#unloading);
  }

  async #loadUntilLive(loading: Loading): Promise<void> {
    const { version, stop } = loading;
    const { observer, retry } = this.#options;
    for (let attempt = 1; !stop.signal.aborted; attempt++) {
      try {
        const startedAt = performance.now();
        const held = await this.#load(version, this.#slots, stop.signal);
        if (stop.signal.aborted) return await this.#close(held);
        this.#loading.delete(version.id);
        if (loading.failure === undefined) this.#firstLoads--;
        const lastUse = ++this.#uses;
        const { loaded } = held;
        this.#live.set(version.id, { version, loaded, requests: 0, isResting: false, lastUse, failure: undefined });
        observer.versionLoaded(version, performance.now() - startedAt, this.size);
        this.#onChange(version.id);
        this.#mayRest();
        return;
      } catch (thrown) {
        if (stop.signal.aborted) return;
        const error = thrown instanceof Error ? thrown : AssayError.from(thrown);
        const retryInMs = backoffMs(retry, attempt);
        if (loading.failure === undefined) this.#firstLoads--;
        loading.failure = { error, attempt };
        observer.versionFailed(version, error, attempt, retryInMs);
        this.#onChange(version.id);
        await pause(retryInMs, stop.signal);
      }
    }
  }

  async #wakeUp(live: LiveVersion, stop: AbortSignal): Promise<void> {
    const held = await this.#load(live.version, this.#wakeSlots, stop, live.loaded);
    if (stop.aborted) {
      await this.#close(held);
      throw stop.reason;
    }
    live.loaded = held.loaded;
    live.isResting = false;
    this.#resting--;
    this.#mayRest(); // all who waited for it may have gone
  }

  /** Loads it once there is a slot and room. */
  #load(version: RoutedVersion, slots: Slots, stop: AbortSignal, before?: LoadedVersion): Promise<Held> {
    const { load, loadTimeoutMs } = this.#options;
    const bytes = this.#sizeOf(version, before);
    const loadInRoom = async (signal: AbortSignal): Promise<Held> => {
      await this.#budget?.reserve(bytes, signal);
      let loaded: LoadedVersion | undefined;
      try {
        loaded = await load(version, signal, before);
        const held = this.#sizeOf(version, loaded);
        this.#budget?.resize(bytes, held);
        return { loaded, bytes: held };
      } catch (error) {
        await loaded?.close();
        this.#budget?.leave(bytes);
        this.#budget?.free(bytes);
        throw error;
      }
    };
    return slots.run(() => within(loadTimeoutMs, stop, loadInRoom, (late) => this.#close(late)), stop);
  }

  /** A version answers no request now: others may have waited for that. */
  #mayRest(): void {
    if (this.#budget?.wantsRoom) this.#budget.serve();
  }

  /** Of those that answer no request, lets the one that was used longest ago rest; false when there is none. */
  #restOne(): boolean {
    let oldest: LiveVersion | undefined;
    for (const live of this.#live.values()) {
      if (live.isResting || live.requests > 0) continue;
      if (oldest === undefined || live.lastUse < oldest.lastUse) oldest = live;
    }
    if (oldest === undefined) return false;
    const { version, loaded } = oldest;
    oldest.isResting = true;
    oldest.loaded = atRest(loaded);
    this.#resting++;
    this.#options.observer.versionRested(version);
    this.#track(this.#close({ loaded, bytes: this.#sizeOf(version, loaded) }));
    return true;
  }

  #sizeOf(version: RoutedVersion, loaded: LoadedVersion | undefined): number {
    return this.#options.memory?.sizeOf(version, loaded) ?? 0;
  }

  async #close({ loaded, bytes }: Held): Promise<void> {
    this.#budget?.leave(bytes);
    await loaded.close();
    this.#budget?.free(bytes);
  }

  #retire(live: LiveVersion): void {
    this.#retired++;
    this.#track(this.#unload(live));
  }

  /** `close` waits for it. */
  #track(unloading: Promise<void>): void {
    const done = unloading.finally(() => this.#unloading.delete(done));
    this.#unloading.add(done);
  }

  async #unload(live: LiveVersion): Promise<void> {
    if (live.requests > 0) await new Promise<void>((resolve) => this.#draining.set(live, resolve));
    this.#draining.delete(live);
    await this.#wakes.stop(live);
    if (live.isResting) this.#resting--;
    else await this.#close({ loaded: live.loaded, bytes: this.#sizeOf(live.version, live.loaded) });
    this.#retired--;
    this.#options.observer.versionUnloaded(live.version, this.size);
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
