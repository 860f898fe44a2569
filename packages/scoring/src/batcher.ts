/**
 * Rows of many callers, run together. What arrives in one turn of the event loop is one batch, run at the end of that turn
 * by `setImmediate`: an idle version answers at once, a busy one gathers meanwhile. A timer would only add its delay. Who
 * is known to be alone does not even wait for the end of the turn, nor does a batch that is full and short.
 *
 * A batch of more rows than the scorer takes at a time is run in several turns, so that others are served between. Rows
 * are put into the batch as they come and are matched to their callers by position.
 */
import { AssayError } from '@assay/contracts';
import type {
  Batcher,
  BatcherOptions,
  InputBatch,
  OutputBatch,
  PendingCount,
  ScoredRows,
  Scorer,
  SubmitOptions,
} from './interfaces.ts';
import { joinOutputs, type OutputRows } from './output-batch.ts';
import { ReusedRows } from './response-cache/reused-rows.ts';
import { appendCopy } from './response-cache/row-copy.ts';
import { runCost } from './run-cost.ts';

const DEFAULT_MAX_QUEUE_ROWS = 4096;
/** Batches kept for the next use. */
const MAX_SPARE_BATCHES = 4;
/**
 * A full batch that takes no longer is run at once: reading and answering its requests takes about as long, and those that
 * come behind it in this turn would only make it wait, with all that they asked in memory meanwhile.
 */
const SHORT_RUN_MS = 1;

type Append = (batch: InputBatch) => number;

/** One caller's rows within a group. */
interface Ticket {
  from: number;
  readonly rows: number;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
  readonly submittedMs: number;
  /** Expected wait when it was submitted, without overhead. */
  readonly expectedMs: number;
  /** Where it counts as pending; undefined once its first run began. */
  pending: PendingCount | undefined;
  readonly resolve: (scored: ScoredRows) => void;
  readonly reject: (error: AssayError) => void;
  /** Outputs so far, when the rows take several runs. */
  parts: OutputRows[] | undefined;
  queueMs: number;
  inferenceMs: number;
}

/** A batch and whose rows are in it, in order. */
interface Group {
  readonly batch: InputBatch;
  tickets: Ticket[];
  /** Rows before this one are done. */
  next: number;
}

export function createBatcher(scorer: Scorer, options: BatcherOptions = {}): Batcher {
  const { maxQueueRows = DEFAULT_MAX_QUEUE_ROWS, observe } = options;
  const { maxBatchRows } = scorer;
  const cost = runCost(scorer.measured, maxBatchRows);
  const spare: InputBatch[] = [];
  const newGroup = (): Group => ({ batch: spare.pop() ?? scorer.newBatch(), tickets: [], next: 0 });
  /** Full groups, before the one that is being filled. */
  const full: Group[] = [];
  let filling = newGroup();
  let queuedRows = 0;
  /** A run is due at the end of this turn of the event loop. */
  let isDue = false;
  /** A run is under way. */
  let isRunning = false;
  let closed = false;
  const idleWaiters: (() => void)[] = [];

  const expectedWaitMs = (): number => {
    if (queuedRows === 0) return 0;
    const runsMs = cost.expectedMs(queuedRows);
    return runsMs + cost.overheadMs(runsMs);
  };

  /** Why so many rows that are to be run are not taken now. */
  const overload = ({ deadlineMs }: SubmitOptions, rows: number, nowMs: number): AssayError | undefined => {
    if (queuedRows === 0) return undefined; // idle: try, or an estimate gone wrong would never be corrected
    const waitMs = expectedWaitMs();
    if (queuedRows >= maxQueueRows) {
      return overloaded(`${queuedRows} rows are queued, the most that may be`, waitMs);
    }
    const needMs = waitMs + cost.expectedMs(rows);
    if (nowMs + needMs > deadlineMs) {
      const leftMs = deadlineMs - nowMs;
      return overloaded(
        `the queue and ${rows === 1 ? 'a row' : `${rows} rows`} need about ${needMs.toFixed(1)} ms, the deadline leaves ${leftMs.toFixed(1)} ms`,
        waitMs,
      );
    }
    return undefined;
  };

  const submit = (append: Append, submission: SubmitOptions): Promise<ScoredRows> =>
    new Promise((resolve, reject) => {
      if (closed) reject(new AssayError('UNAVAILABLE', 'the version is being unloaded; try again'));
      else take(append, submission, resolve, reject);
    });

  /** Rows that were taken before, and whose leader in the cache came to nothing. */
  const takeAgain = (append: Append, submission: SubmitOptions): Promise<ScoredRows> =>
    new Promise((resolve, reject) => take(append, submission, resolve, reject));

  const take = (
    append: Append,
    submission: SubmitOptions,
    resolve: Ticket['resolve'],
    reject: Ticket['reject'],
  ): void => {
    const nowMs = performance.now();
    const { deadlineMs, signal, cache, pending } = submission;
    // One row at least, before they are read. What a cache answers needs no room: there it is asked first.
    const refused = unwanted(submission, nowMs) ?? (cache === undefined ? overload(submission, 1, nowMs) : undefined);
    if (refused !== undefined) {
      reject(refused);
      return;
    }
    const { batch, tickets } = filling;
    const from = batch.rows;
    let rows = 0;
    let reused: ReusedRows | undefined;
    try {
      append(batch);
      rows = batch.rows - from;
      if (rows === 0) throw new AssayError('INVALID_ARGUMENT', 'there are no records to score');
      if (rows > maxQueueRows) {
        throw new AssayError(
          'PAYLOAD_TOO_LARGE',
          `${rows} records are more than the ${maxQueueRows} that may be queued`,
        );
      }
      if (cache !== undefined) {
        reused = new ReusedRows(cache, batch, from, nowMs, {
          resolve,
          reject,
          maxFollowers: maxQueueRows,
          unwanted: () => unwanted(submission, performance.now()),
          scoreAnew: (row, looksUp) =>
            takeAgain((into) => appendCopy(into, row), looksUp ? submission : { ...submission, cache: undefined }),
        });
        rows = batch.rows - from;
        if (rows === 0) {
          reused.answer();
          return;
        }
      }
      if (rows > 1 || cache !== undefined) {
        const overloadedBy = overload(submission, rows, nowMs);
        if (overloadedBy !== undefined) throw overloadedBy;
      }
      if (queuedRows + rows > maxQueueRows) {
        throw overloaded(`${queuedRows} rows are queued, ${rows} more do not fit`, expectedWaitMs());
      }
    } catch (error) {
      batch.truncate(from);
      if (reused === undefined) reject(AssayError.from(error));
      else reused.failed(AssayError.from(error));
      return;
    }
    queuedRows += rows;
    if (pending !== undefined) pending.pendingRequests++;
    tickets.push({
      from,
      rows,
      deadlineMs,
      signal,
      submittedMs: nowMs,
      expectedMs: cost.expectedMs(queuedRows),
      pending,
      resolve: reused === undefined ? resolve : (scored) => reused.scored(scored),
      reject: reused === undefined ? reject : (error) => reused.failed(error),
      parts: undefined,
      queueMs: 0,
      inferenceMs: 0,
    });
    const isFull = batch.rows >= maxBatchRows;
    if (isFull) {
      full.push(filling);
      filling = newGroup();
    }
    if (submission.isAlone === true && !isDue && !isRunning) run();
    else if (isFull && !isRunning && cost.expectedMs(maxBatchRows) <= SHORT_RUN_MS) run();
    else schedule();
  };

  /** Unless one is due or under way: whoever ends it looks for more. */
  const schedule = (): void => {
    if (isDue || isRunning) return;
    isDue = true;
    setImmediate(onDue);
  };

  /** What was due may have been run since. */
  const onDue = (): void => {
    isDue = false;
    if (isRunning) return;
    if (queuedRows > 0) run();
    else rest();
  };

  const rest = (): void => {
    if (isDue) return;
    for (const resolve of idleWaiters.splice(0)) resolve();
  };

  const leave = (ticket: Ticket): void => {
    queuedRows -= ticket.rows;
    endPending(ticket);
  };

  const fail = (ticket: Ticket, error: AssayError): void => {
    leave(ticket);
    ticket.reject(error);
  };

  const settle = (ticket: Ticket, outputs: OutputBatch, firstRow: number, batchRows: number): void => {
    leave(ticket);
    const { rows, queueMs, inferenceMs } = ticket;
    ticket.resolve({ outputs, firstRow, rows, queueMs, inferenceMs, batchRows });
  };

  /** Takes out whose callers do not want them any more, unless their first rows are done already. */
  const dropUnwanted = (group: Group, nowMs: number): void => {
    if (group.tickets.every((ticket) => unwanted(ticket, nowMs) === undefined)) return;
    let removed = 0;
    group.tickets = group.tickets.filter((ticket) => {
      ticket.from -= removed;
      const why = unwanted(ticket, nowMs);
      if (why === undefined || ticket.from < group.next) return true;
      group.batch.remove(ticket.from, ticket.rows);
      removed += ticket.rows;
      fail(ticket, why);
      return false;
    });
  };

  /** One run, nearly always at the end of a turn of the event loop. */
  const run = (): void => {
    isRunning = true;
    let group = full[0];
    if (group === undefined) {
      group = filling;
      filling = newGroup();
      full.push(group);
    }
    const startMs = performance.now();
    dropUnwanted(group, startMs);
    const from = group.next;
    const rows = Math.min(maxBatchRows, group.batch.rows - from);
    if (rows <= 0) {
      next(group);
      return;
    }
    for (const ticket of group.tickets) {
      if (ticket.from >= from + rows) break;
      endPending(ticket);
    }
    let outputs: OutputBatch | Promise<OutputBatch>;
    try {
      outputs = scorer.run(group.batch, from, rows);
    } catch (error) {
      void runApart(group, from, rows, error);
      return;
    }
    if (outputs instanceof Promise) {
      const running = group;
      outputs.then(
        (done) => hand(running, from, rows, done, startMs),
        (error: unknown) => runApart(running, from, rows, error),
      );
    } else {
      hand(group, from, rows, outputs, startMs);
    }
  };

  /** Gives each caller its rows. */
  const hand = (group: Group, from: number, rows: number, outputs: OutputBatch, startMs: number): void => {
    const nowMs = performance.now();
    const tookMs = nowMs - startMs;
    cost.observeRun(rows, tookMs);
    const end = from + rows;
    let done = 0;
    for (const ticket of group.tickets) {
      if (ticket.from >= end) break;
      if (ticket.from >= from) ticket.queueMs = startMs - ticket.submittedMs;
      ticket.inferenceMs += tookMs;
      const ticketEnd = ticket.from + ticket.rows;
      // Whose rows took several runs was promised the end of the last one.
      if (done === 0 && ticketEnd <= end) cost.observeOverhead(nowMs - ticket.submittedMs - ticket.expectedMs);
      if (ticket.from >= from && ticketEnd <= end) {
        settle(ticket, outputs, ticket.from - from, rows);
        done++;
        continue;
      }
      const partFrom = Math.max(ticket.from, from);
      ticket.parts ??= [];
      ticket.parts.push({ outputs, from: partFrom - from, rows: Math.min(ticketEnd, end) - partFrom });
      if (ticketEnd <= end) {
        settle(ticket, joinOutputs(ticket.parts), 0, rows);
        done++;
      }
    }
    if (done > 0) group.tickets.splice(0, done);
    group.next = end;
    observe?.({ rows, inferenceMs: tookMs });
    next(group);
  };

  /** After a run that failed: each caller's rows by themselves, so that only those fail that make the graph fail. */
  const runApart = async (group: Group, from: number, rows: number, error: unknown): Promise<void> => {
    const end = from + rows;
    const alone = group.tickets.length > 0 && group.tickets.every((ticket, i) => i === 0 || ticket.from >= end);
    const affected = group.tickets.filter((ticket) => ticket.from < end);
    group.tickets = group.tickets.filter((ticket) => ticket.from >= end);
    for (const ticket of affected) {
      const startMs = performance.now();
      if (ticket.queueMs === 0) ticket.queueMs = startMs - ticket.submittedMs;
      try {
        if (alone || AssayError.from(error).code !== 'INVALID_ARGUMENT') throw error;
        const outputs = await scorer.run(group.batch, ticket.from, ticket.rows);
        ticket.inferenceMs += performance.now() - startMs;
        settle(ticket, outputs, 0, ticket.rows);
      } catch (own) {
        fail(ticket, AssayError.from(own));
      }
      group.next = ticket.from + ticket.rows;
    }
    group.next = Math.max(group.next, end);
    next(group);
  };

  /** After a run: the rest of the group, the next one, or rest. */
  const next = (group: Group): void => {
    if (group.next >= group.batch.rows) {
      full.shift();
      group.batch.clear();
      if (spare.length < MAX_SPARE_BATCHES && group.batch.capacityRows <= 2 * maxBatchRows) spare.push(group.batch);
    }
    isRunning = false;
    if (queuedRows > 0) schedule();
    else rest();
  };

  const drain = (): Promise<void> =>
    isDue || isRunning ? new Promise((resolve) => idleWaiters.push(resolve)) : Promise.resolve();

  return {
    submit,
    get queuedRows() {
      return queuedRows;
    },
    get expectedWaitMs() {
      return expectedWaitMs();
    },
    drain,
    close() {
      closed = true;
      return drain();
    },
  };
}

/** Its first run begins, or there will be none. */
function endPending(ticket: Ticket): void {
  if (ticket.pending === undefined) return;
  ticket.pending.pendingRequests--;
  ticket.pending = undefined;
}

/** Why a caller wants its rows no more. */
function unwanted(
  { deadlineMs, signal }: { readonly deadlineMs: number; readonly signal?: AbortSignal | undefined },
  nowMs: number,
): AssayError | undefined {
  if (signal?.aborted === true) return cancelled();
  return nowMs >= deadlineMs ? expired() : undefined;
}

function cancelled(): AssayError {
  return new AssayError('CANCELLED', 'the caller went away before the records were scored');
}

function expired(): AssayError {
  return new AssayError('DEADLINE_EXCEEDED', 'the deadline passed before the records were scored');
}

function overloaded(why: string, waitMs: number): AssayError {
  return new AssayError('OVERLOADED', `the version is overloaded: ${why}; try again later`, {
    retryAfterMs: Math.max(1, Math.ceil(waitMs)),
  });
}
