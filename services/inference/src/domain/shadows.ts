/**
 * Scores by shadows what callers were answered already, and compares. It is never in a request's way: the request leaves
 * what it has and goes on; what does not fit in the bounded queue is dropped and counted. Runs on the event loop, where
 * requests are answered, take a quarter of it at most.
 */
import { AssayError, type ShadowCounts } from '@assay/contracts';
import type { ScoredRows } from '@assay/scoring';
import type { ReadRows } from './dataplane.ts';
import { type LiveSet, type LiveVersion, pause } from './live-set.ts';
import type { ServedEndpoint, ServedShadow, ServedVariant } from './routing-table.ts';
import { ShadowCounter } from './shadow-counts.ts';
import type { ServingObserver } from './version.ts';

export interface ShadowsOptions {
  readonly live: Pick<LiveSet, 'acquire' | 'release' | 'wake'>;
  readonly observer: Pick<ServingObserver, 'shadowRows'>;
  readonly maxQueueRows: number;
  readonly maxQueueBytes: number;
  /** For tests: 0 to 1. */
  readonly random?: () => number;
}

/** What a request leaves behind once it is answered. */
export interface Answered {
  readonly endpoint: ServedEndpoint;
  readonly variant: ServedVariant;
  readonly read: ReadRows;
  readonly rows: ScoredRows;
  readonly sizeBytes: number;
}

/** One shadow beside one version that answered. */
export interface ShadowRecord {
  readonly endpointId: string;
  readonly endpointName: string;
  readonly versionId: string;
  readonly primaryVersionId: string;
  readonly counts: ShadowCounts;
}

interface Waiting extends Answered {
  readonly shadow: ServedShadow;
  readonly live: LiveVersion;
  readonly pair: Pair;
}

interface Pair extends Omit<ShadowRecord, 'counts'> {
  readonly counter: ShadowCounter;
}

/** Nobody waits for a shadow, and nothing is left for ever. */
const PATIENCE_MS = 30_000;
/** After each run on the event loop it is left alone for so many times as long as the run took. */
const PAUSE_SHARE = 3;
/** Pairs that are remembered; beyond it the oldest are forgotten. */
const MAX_PAIRS = 1000;

export class Shadows {
  readonly #options: ShadowsOptions;
  readonly #queue: Waiting[] = [];
  readonly #pairs = new Map<string, Pair>();
  readonly #stop = new AbortController();
  #queuedRows = 0;
  #queuedBytes = 0;
  #running: Promise<void> | undefined;

  constructor(options: ShadowsOptions) {
    this.#options = options;
  }

  get queuedRows(): number {
    return this.#queuedRows;
  }

  /** Every pair that was compared since the start. */
  records(): ShadowRecord[] {
    return Array.from(this.#pairs.values(), ({ counter, ...pair }) => ({ ...pair, counts: counter.counts() }));
  }

  /** For the way of a request: it takes no more than a look and a push. */
  offer(answered: Answered): void {
    const { random = Math.random } = this.#options;
    for (const shadow of answered.endpoint.shadows) {
      if (shadow.ratio < 1 && random() >= shadow.ratio) continue;
      this.#take(answered, shadow);
    }
  }

  #take(answered: Answered, shadow: ServedShadow): void {
    const { live, maxQueueRows, maxQueueBytes } = this.#options;
    const { rows } = answered.rows;
    const pair = this.#pairOf(answered, shadow);
    const isFull = this.#queuedRows + rows > maxQueueRows || this.#queuedBytes + answered.sizeBytes > maxQueueBytes;
    if (shadow.live === undefined || isFull || this.#stop.signal.aborted) {
      pair.counter.dropped(rows);
      this.#options.observer.shadowRows(answered.endpoint.endpoint.name, shadow.version, 'dropped', rows);
      return;
    }
    live.acquire(shadow.live);
    this.#queue.push({ ...answered, shadow, live: shadow.live, pair });
    this.#queuedRows += rows;
    this.#queuedBytes += answered.sizeBytes;
    this.#running ??= this.#runAll().finally(() => {
      this.#running = undefined;
    });
  }

  /** Drops what waits. Resolves when nothing runs. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #runAll(): Promise<void> {
    // The answer is written in this turn of the event loop: it goes first.
    await new Promise((resolve) => setImmediate(resolve));
    for (;;) {
      const batch = this.#nextBatch();
      const [first] = batch;
      if (first === undefined) return;
      const beganMs = performance.now();
      await Promise.all(batch.map((waiting) => this.#score(waiting)));
      const isOnLoop = first.live.loaded.details.place === 'loop';
      if (isOnLoop && this.#queue.length > 0)
        await pause(PAUSE_SHARE * (performance.now() - beganMs), this.#stop.signal);
    }
  }

  /** What waits for the version that has waited longest: as many rows as it runs at a time. */
  #nextBatch(): Waiting[] {
    const [first] = this.#queue;
    const batch: Waiting[] = [];
    if (first === undefined) return batch;
    let rows = 0;
    for (const waiting of this.#queue) {
      if (waiting.live !== first.live || (rows > 0 && rows + waiting.rows.rows > first.live.loaded.maxBatchRows)) break;
      rows += waiting.rows.rows;
      batch.push(waiting);
    }
    this.#queue.splice(0, batch.length);
    return batch;
  }

  async #score({ endpoint, shadow, live, pair, read, rows, sizeBytes }: Waiting): Promise<void> {
    const tell = (outcome: 'compared' | 'failed' | 'dropped'): void =>
      this.#options.observer.shadowRows(endpoint.endpoint.name, shadow.version, outcome, rows.rows);
    try {
      if (this.#stop.signal.aborted) {
        pair.counter.dropped(rows.rows);
        tell('dropped');
        return;
      }
      const patience = { deadlineMs: performance.now() + PATIENCE_MS };
      if (live.isResting) await this.#options.live.wake(live, patience);
      const scored = await live.loaded.score(read(live.loaded.signature), patience);
      if (scored.rows !== rows.rows) throw new AssayError('INTERNAL', 'a shadow scored other rows than were answered');
      pair.counter.compared(rows, scored);
      tell('compared');
    } catch {
      pair.counter.failed(rows.rows);
      tell('failed');
    } finally {
      this.#queuedRows -= rows.rows;
      this.#queuedBytes -= sizeBytes;
      this.#options.live.release(live);
    }
  }

  #pairOf({ endpoint, variant }: Answered, shadow: ServedShadow): Pair {
    const key = `${endpoint.endpoint.id} ${shadow.version.id} ${variant.version.id}`;
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      pair = {
        endpointId: endpoint.endpoint.id,
        endpointName: endpoint.endpoint.name,
        versionId: shadow.version.id,
        primaryVersionId: variant.version.id,
        counter: new ShadowCounter(),
      };
      const [oldest] = this.#pairs.keys();
      if (this.#pairs.size >= MAX_PAIRS && oldest !== undefined) this.#pairs.delete(oldest);
      this.#pairs.set(key, pair);
    }
    return pair;
  }
}
