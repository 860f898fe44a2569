/**
 * The outputs of rows that one version scored for one endpoint, and the rows that it is scoring. They die with the version,
 * and no other sees them.
 *
 * What leaves first is chosen by SIEVE (Zhang et al., NSDI 2024): rows stand in the order in which they came, a hit sets a
 * mark and moves nothing, and a hand goes round, spares and unmarks what was hit, and takes what was not. It keeps more of
 * skewed traffic than LRU, rows asked for once pass through without pushing out others, and a `Map` with an iterator that
 * lives on is all that it needs.
 */
import { randomInt } from 'node:crypto';
import type { OutputBatch } from '../interfaces.ts';
import { outputBytes } from '../output-batch.ts';
import type { CacheBudget } from './cache-budget.ts';
import { copyBytes, equalsRow, type RowCopy, type RowViews } from './row-copy.ts';

export interface CacheRules {
  /** Outputs older than this answer nobody. */
  readonly maxAgeMs: number;
  /** Whether equal rows that are asked for at the same time are scored once. */
  readonly coalesce: boolean;
}

/** Told what becomes of rows; it must not throw. */
export interface CacheWatcher {
  looked(hits: number, coalesced: number, misses: number): void;
  evicted(reason: EvictionReason): void;
}
export type EvictionReason = 'size' | 'age';

interface Entry {
  readonly hash: number;
  readonly row: RowCopy;
  readonly outputs: OutputBatch;
  readonly storedAtMs: number;
  readonly bytes: number;
  /** Since the hand last passed. */
  wasHit: boolean;
}

/** A row that is being scored for who asked first, and who else waits for it. */
export interface InFlight {
  readonly row: RowCopy;
  readonly followers: Follower[];
}

export interface Follower {
  given(outputs: OutputBatch): void;
  /** Who asked first gets nothing; that says nothing of the row unless `isOfRow`. */
  leftAlone(row: RowCopy, isOfRow: boolean): void;
}

/** What an entry costs besides its data, and each of its outputs: objects. Estimated from their fields, not measured. */
const ENTRY_BYTES = 480;
const OUTPUT_BYTES = 260;
/** The hand spares so many in a row at most: a request does not wait for it to go all the way round. */
const MAX_SPARED = 64;

export class VersionCache {
  readonly seed = randomInt(2 ** 31);
  /** By hash. Of two rows with one hash the second is scored by itself, and none is ever taken for the other. */
  readonly inFlight = new Map<number, InFlight>();
  readonly watcher: CacheWatcher;
  readonly #rules: () => CacheRules;
  readonly #budgets: readonly CacheBudget[];
  readonly #entries = new Map<number, Entry>();
  #hand = this.#entries.values();
  #bytes = 0;
  #isClosed = false;
  /** Rows that wait for others'. */
  followers = 0;

  constructor(rules: () => CacheRules, budgets: readonly CacheBudget[], watcher: CacheWatcher) {
    this.#rules = rules;
    this.#budgets = budgets;
    this.watcher = watcher;
    for (const budget of budgets) budget.add(this);
  }

  get coalesces(): boolean {
    return this.#rules().coalesce;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  find(hash: number, rows: RowViews, row: number, nowMs: number): OutputBatch | undefined {
    const entry = this.#entries.get(hash);
    if (entry === undefined || !equalsRow(rows, row, entry.row)) return undefined;
    if (this.#isOld(entry, nowMs)) {
      this.#remove(entry, 'age');
      return undefined;
    }
    entry.wasHit = true;
    return entry.outputs;
  }

  /** @param outputs of this one row, in memory of their own */
  keep(hash: number, row: RowCopy, outputs: OutputBatch, nowMs: number): void {
    if (this.#isClosed) return;
    const bytes = ENTRY_BYTES + copyBytes(row) + OUTPUT_BYTES * outputs.outputs.length + outputBytes(outputs);
    const before = this.#entries.get(hash);
    if (before !== undefined) this.#forget(before);
    if (!this.#budgets.every((budget) => budget.makeRoom(bytes))) return;
    this.#entries.set(hash, { hash, row, outputs, storedAtMs: nowMs, bytes, wasHit: false });
    this.#hold(bytes);
  }

  evictOne(): boolean {
    const nowMs = performance.now();
    for (let spared = 0; ; spared++) {
      let next = this.#hand.next();
      if (next.done === true) {
        this.#hand = this.#entries.values();
        next = this.#hand.next();
        if (next.done === true) return false;
      }
      const entry = next.value;
      if (this.#isOld(entry, nowMs)) this.#remove(entry, 'age');
      else if (!entry.wasHit || spared === MAX_SPARED) this.#remove(entry, 'size');
      else {
        entry.wasHit = false;
        continue;
      }
      return true;
    }
  }

  /** Gives its memory back. Rows that are in flight still answer who waits for them. */
  close(): void {
    this.#isClosed = true;
    for (const budget of this.#budgets) budget.remove(this);
    this.#entries.clear();
    this.#bytes = 0;
  }

  #isOld({ storedAtMs }: Entry, nowMs: number): boolean {
    return nowMs - storedAtMs > this.#rules().maxAgeMs;
  }

  #remove(entry: Entry, reason: EvictionReason): void {
    this.#forget(entry);
    this.watcher.evicted(reason);
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry.hash);
    this.#hold(-entry.bytes);
  }

  #hold(bytes: number): void {
    this.#bytes += bytes;
    for (const budget of this.#budgets) budget.usedBytes += bytes;
  }
}
