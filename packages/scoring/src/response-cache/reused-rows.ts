/**
 * One request's rows, looked up. A row that was scored before has its outputs at once; one that is being scored for another
 * request follows that one; only the others stay in the batch to be run, and others may follow them. The caller is answered
 * when all are there. What becomes of a leader is not what becomes of its followers: when it gets no outputs, they are
 * scored anew.
 */
import { AssayError } from '@assay/contracts';
import { packed } from '../input-batch.ts';
import type { InputBatch, OutputBatch, ScoredRows } from '../interfaces.ts';
import { copyOutputRow, joinOutputs } from '../output-batch.ts';
import { copyRow, equalsRow, hashRow, type RowCopy, viewRows } from './row-copy.ts';
import type { InFlight, VersionCache } from './version-cache.ts';

export interface Caller {
  resolve(scored: ScoredRows): void;
  reject(error: AssayError): void;
  /** Rows that may wait for others'. */
  readonly maxFollowers: number;
  /** Why the caller wants no answer any more. */
  unwanted(): AssayError | undefined;
  /** Scores one of the rows by itself. */
  scoreAnew(row: RowCopy, looksUp: boolean): Promise<ScoredRows>;
}

/** A row that is run. */
interface Led {
  /** Its place among the caller's rows. */
  readonly place: number;
  readonly hash: number;
  readonly row: RowCopy;
  /** Absent where none may follow. */
  readonly inFlight: InFlight | undefined;
}

export class ReusedRows {
  readonly #cache: VersionCache;
  readonly #caller: Caller;
  /** Outputs of one row each, at their places. */
  readonly #parts: (OutputBatch | undefined)[];
  readonly #led: Led[] = [];
  /** Places of rows that are not run for this caller, if any. */
  #cached: Set<number> | undefined;
  /** Places that have no outputs yet. */
  #missing: number;
  #run: ScoredRows | undefined;
  #isSettled = false;

  /** Looks up the rows from `from` on, and leaves in the batch those that are to be run. */
  constructor(cache: VersionCache, input: InputBatch, from: number, nowMs: number, caller: Caller) {
    const batch = packed(input);
    this.#cache = cache;
    this.#caller = caller;
    const count = batch.rows - from;
    this.#parts = new Array(count);
    this.#missing = count;
    const { coalesces, seed, inFlight } = cache;
    const rows = viewRows(batch);
    let hits = 0;
    for (let place = 0; place < count; place++) {
      const at = from + place;
      const hash = hashRow(rows, at, seed);
      const outputs = cache.find(hash, rows, at, nowMs);
      if (outputs !== undefined) {
        this.#parts[place] = outputs;
        this.#isCached(place);
        hits++;
        continue;
      }
      const leader = coalesces ? inFlight.get(hash) : undefined;
      if (leader !== undefined && cache.followers < caller.maxFollowers && equalsRow(rows, at, leader.row)) {
        this.#follow(leader, place);
        continue;
      }
      const led = { place, hash, row: copyRow(rows, at), inFlight: undefined };
      this.#led.push(coalesces && leader === undefined ? this.#lead(led) : led);
      const kept = from + this.#led.length - 1;
      if (kept < at) batch.moveRow(at, kept);
    }
    this.#missing -= hits;
    batch.truncate(from + this.#led.length);
    cache.watcher.looked(hits, count - hits - this.#led.length, this.#led.length);
  }

  /** Answers when nothing is left to wait for. To be called where no row is to be run. */
  answer(): void {
    if (this.#missing > 0 || this.#isSettled) return;
    this.#isSettled = true;
    const run = this.#run;
    const [first] = this.#parts;
    const rows = this.#parts.length;
    this.#caller.resolve({
      outputs: rows === 1 && first !== undefined ? first : joinRows(this.#parts),
      firstRow: 0,
      rows,
      queueMs: run?.queueMs ?? 0,
      inferenceMs: run?.inferenceMs ?? 0,
      batchRows: run?.batchRows ?? 0,
      ...(this.#cached === undefined ? {} : { cached: this.#cached }),
    });
  }

  /** The rows that were run. */
  scored(run: ScoredRows): void {
    const nowMs = performance.now();
    this.#run = run;
    const isAll = this.#led.length === this.#parts.length;
    if (isAll) {
      this.#isSettled = true;
      this.#caller.resolve(run);
    }
    this.#led.forEach(({ place, hash, row, inFlight }, i) => {
      const outputs = copyOutputRow(run.outputs, run.firstRow + i);
      this.#cache.keep(hash, row, outputs, nowMs);
      this.#place(place, outputs);
      if (inFlight === undefined) return;
      this.#cache.inFlight.delete(hash);
      for (const follower of inFlight.followers) follower.given(outputs);
    });
    this.answer();
  }

  /** The rows that were to be run were not. */
  failed(error: AssayError): void {
    this.#fail(error);
    const isOfRow = error.code !== 'CANCELLED' && error.code !== 'DEADLINE_EXCEEDED';
    for (const { hash, inFlight } of this.#led) if (inFlight !== undefined) this.#cache.inFlight.delete(hash);
    for (const { row, inFlight } of this.#led) {
      for (const follower of inFlight?.followers ?? []) follower.leftAlone(row, isOfRow);
    }
  }

  #lead(led: Led): Led {
    const inFlight: InFlight = { row: led.row, followers: [] };
    this.#cache.inFlight.set(led.hash, inFlight);
    return { ...led, inFlight };
  }

  #follow(leader: InFlight, place: number): void {
    this.#isCached(place);
    this.#cache.followers++;
    leader.followers.push({
      given: (outputs) => {
        this.#cache.followers--;
        const gone = this.#isSettled ? undefined : this.#caller.unwanted();
        if (gone !== undefined) this.#fail(gone);
        this.#place(place, outputs);
        this.answer();
      },
      leftAlone: (row, isOfRow) => {
        this.#cache.followers--;
        if (!this.#isSettled) void this.#scoreAnew(place, row, !isOfRow);
      },
    });
  }

  /** @param looksUp whether others who are left alone may share it; a row that fails is better run by itself */
  async #scoreAnew(place: number, row: RowCopy, looksUp: boolean): Promise<void> {
    try {
      const scored = await this.#caller.scoreAnew(row, looksUp);
      if (scored.cached === undefined) this.#wasRun(place);
      this.#run ??= scored;
      this.#place(place, copyOutputRow(scored.outputs, scored.firstRow));
      this.answer();
    } catch (error) {
      this.#fail(AssayError.from(error));
    }
  }

  #isCached(place: number): void {
    this.#cached ??= new Set();
    this.#cached.add(place);
  }

  /** After all. */
  #wasRun(place: number): void {
    this.#cached?.delete(place);
    if (this.#cached?.size === 0) this.#cached = undefined;
  }

  #place(place: number, outputs: OutputBatch): void {
    this.#parts[place] = outputs;
    this.#missing--;
  }

  #fail(error: AssayError): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#caller.reject(error);
  }
}

function joinRows(parts: readonly (OutputBatch | undefined)[]): OutputBatch {
  return joinOutputs(parts.flatMap((outputs) => (outputs === undefined ? [] : { outputs, from: 0, rows: 1 })));
}
