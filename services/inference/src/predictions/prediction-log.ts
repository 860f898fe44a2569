/**
 * Tells the log what was predicted. It never makes a request wait or fail: a request only leaves what it has, a few
 * references, and goes on. They become text behind the answers of the same turn, in slices of a fraction of a
 * millisecond, and are published in batches, one at a time. What does not fit in the bounded queue, or comes faster than
 * allowed, is dropped and counted.
 *
 * They become text so soon because a body, however small, holds the block of 64 KiB that the socket was read into: bodies
 * that wait for the batch would scatter such blocks over the heap, which the requests behind them then cannot use again.
 */
import { AssayError, type Door, type Event, type PredictionEntry, TOPICS } from '@assay/contracts';
import type { Logger } from '@assay/runtime';
import type { Scored } from '../domain/dataplane.ts';
import { charactersOf, inParts, MAX_EVENT_CHARACTERS, predictionEntry, predictionsEvent } from './prediction-entry.ts';
import { createRate } from './sampling.ts';

/** Where events go: an event bus, or a port to the thread that has one. */
export interface EventSink {
  /** Resolves when they are durable. */
  publish(topic: string, events: readonly Event[], options?: { readonly signal?: AbortSignal }): Promise<void>;
}

/** Why a prediction that was drawn for the log is not in it. */
export type DropReason = 'queue_full' | 'rate' | 'too_large' | 'unrepresentable' | 'refused' | 'closing';

/** What a door knows of a request that was scored. */
export interface LoggedRequest {
  readonly door: Door;
  /** The id of the prediction of a row, as the caller got it. */
  idOf(row: number): string;
  /** A row as a named record; undefined where it has no such form. Called later: it must not look at what changes. */
  recordOf(row: number): unknown;
  /** The `traceparent` that a row was asked with, as it came. Called later, too. */
  traceparentOf?(row: number): unknown;
}

/** Rows of a request that are to be logged. */
export interface DrawnRows {
  /** To be called at once. */
  log(request: LoggedRequest): void;
}

export interface PredictionLog {
  /**
   * For the hot path: `draw(…)?.log({…})` makes nothing of a request of which nothing is logged.
   * @param sizeBytes what the records hold in memory, about
   */
  draw(scored: Scored, sizeBytes: number): DrawnRows | undefined;
  readonly queuedRows: number;
  /** Publishes what waits, for `timeoutMs` at most; the rest is dropped and counted. */
  close(timeoutMs: number): Promise<void>;
}

export interface PredictionLogOptions {
  readonly sink: EventSink;
  /** The share of an endpoint's predictions that is logged, 0 to 1. */
  readonly shareOf: (endpoint: string) => number;
  readonly maxRowsPerSecond: number;
  readonly maxQueueRows: number;
  readonly maxQueueBytes: number;
  /** How long a batch is gathered. */
  readonly lingerMs: number;
  readonly log: Pick<Logger, 'warn' | 'error'>;
  readonly logged: (rows: number) => void;
  readonly dropped: (reason: DropReason, rows: number) => void;
}

/** Rows of a request that were drawn and are no text yet. */
interface Drawn {
  readonly scored: Scored;
  readonly request: LoggedRequest;
  readonly rows: readonly number[];
  readonly atMs: number;
  readonly sizeBytes: number;
  /** How many of the rows are done. */
  done: number;
}

const MAX_EVENT_ROWS = 128;
const ONLY_ROW: readonly number[] = [0];
/** How long requests may have to wait for the log's own work. */
const SLICE_MS = 0.25;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5000;

export function createPredictionLog(options: PredictionLogOptions): PredictionLog {
  const { sink, shareOf, maxRowsPerSecond, maxQueueRows, maxQueueBytes, lingerMs, log, logged, dropped } = options;
  const rate = createRate(maxRowsPerSecond);
  const drawn: Drawn[] = [];
  const written: PredictionEntry[] = [];
  const stopping = new AbortController();
  const stopped = Promise.withResolvers<never>();
  stopped.promise.catch(() => undefined);
  stopping.signal.addEventListener('abort', () => stopped.reject(stopping.signal.reason), { once: true });
  /** Drawn and written, until they are published. */
  let queuedRows = 0;
  let queuedBytes = 0;
  let isClosing = false;
  let isWriting = false;
  let timer: NodeJS.Timeout | undefined;
  let publishing: Promise<void> | undefined;

  function draw(scored: Scored, recordBytes: number): DrawnRows | undefined {
    const ratio = shareOf(scored.endpoint.endpoint.name);
    if (ratio === 0) return undefined;
    const { rows: count, outputs } = scored.rows;
    if (count === 1 && ratio < 1 && Math.random() >= ratio) return undefined;
    let rows = count === 1 ? ONLY_ROW : sampleRows(count, ratio);
    if (rows.length === 0) return undefined;
    if (isClosing) {
      dropped('closing', rows.length);
      return undefined;
    }
    const allowed = rate.take(rows.length);
    if (allowed < rows.length) {
      dropped('rate', rows.length - allowed);
      if (allowed === 0) return undefined;
      rows = rows.slice(0, allowed);
    }
    // One row may keep the outputs of its whole run in memory.
    const sizeBytes = recordBytes + outputBytes(outputs.outputs);
    if (queuedRows + rows.length > maxQueueRows || queuedBytes + sizeBytes > maxQueueBytes) {
      dropped('queue_full', rows.length);
      return undefined;
    }
    return { log: (request) => enqueue({ scored, request, rows, atMs: Date.now(), sizeBytes, done: 0 }) };
  }

  function enqueue(next: Drawn): void {
    drawn.push(next);
    queuedRows += next.rows.length;
    queuedBytes += next.sizeBytes;
    if (!isWriting) {
      isWriting = true;
      setImmediate(write);
    }
    if (publishing === undefined) timer ??= setTimeout(start, lingerMs);
  }

  /** A slice of the rows that are no text yet. */
  function write(): void {
    const sinceMs = performance.now();
    for (let next = drawn[0]; next !== undefined; next = drawn[0]) {
      while (next.done < next.rows.length) {
        if (performance.now() - sinceMs >= SLICE_MS) {
          setImmediate(write);
          return;
        }
        const entry = entryOf(next, next.rows[next.done++] ?? 0);
        if (entry === undefined) queuedRows--;
        else {
          written.push(entry);
          queuedBytes += charactersOf(entry);
        }
      }
      queuedBytes -= next.sizeBytes;
      drawn.shift();
    }
    isWriting = false;
  }

  function start(): void {
    timer = undefined;
    publishing ??= publishAll()
      .catch((error: unknown) => log.error({ err: error }, 'predictions could not be logged'))
      .finally(() => {
        publishing = undefined;
        if (queuedRows > 0) timer ??= setTimeout(start, isClosing ? 0 : lingerMs);
      });
  }

  async function publishAll(): Promise<void> {
    while (written.length > 0 || isWriting) {
      // What was drawn together goes together, if that fits in an event.
      while (isWriting && written.length < MAX_EVENT_ROWS) await new Promise((resolve) => setImmediate(resolve));
      const entries = takeEntries();
      if (entries.length > 0) await publish(entries);
      queuedRows -= entries.length;
      for (const entry of entries) queuedBytes -= charactersOf(entry);
      if (written.length > 0 && !isClosing) await pause(lingerMs, stopping.signal);
    }
  }

  /** Until they fill an event; their memory counts until they are published. */
  function takeEntries(): PredictionEntry[] {
    let count = 0;
    let characters = 0;
    for (const entry of written) {
      if (count >= MAX_EVENT_ROWS || characters >= MAX_EVENT_CHARACTERS / 2) break;
      count++;
      characters += charactersOf(entry);
    }
    return written.splice(0, count);
  }

  function entryOf({ scored, request, atMs }: Drawn, row: number): PredictionEntry | undefined {
    try {
      const [id, record, traceparent] = [request.idOf(row), request.recordOf(row), request.traceparentOf?.(row)];
      const entry = predictionEntry({ id, atMs, door: request.door, record, scored, row, traceparent });
      if (entry !== undefined && entry.record.length + entry.outputs.length <= MAX_EVENT_CHARACTERS) return entry;
      dropped(entry === undefined ? 'unrepresentable' : 'too_large', 1);
    } catch (error) {
      log.error({ err: error }, 'a prediction could not be written as text');
      dropped('unrepresentable', 1);
    }
    return undefined;
  }

  async function publish(entries: readonly PredictionEntry[]): Promise<void> {
    if (stopping.signal.aborted) return dropped('closing', entries.length);
    const events = inParts(entries).map(predictionsEvent);
    for (let attempt = 1; ; attempt++) {
      try {
        // A sink that does not listen to its signal does not hold up a stop.
        await Promise.race([sink.publish(TOPICS.predictions, events, { signal: stopping.signal }), stopped.promise]);
        logged(entries.length);
        return;
      } catch (thrown) {
        const error = AssayError.from(thrown);
        if (stopping.signal.aborted) return dropped('closing', entries.length);
        if (!error.retryable) {
          log.error({ err: error, rows: entries.length }, 'the event log refused predictions; they are dropped');
          return dropped('refused', entries.length);
        }
        if (attempt === 1)
          log.warn({ err: error }, 'predictions cannot be logged now; they wait, and then are dropped');
        await pause(Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (attempt - 1)), stopping.signal);
      }
    }
  }

  return {
    draw,
    get queuedRows() {
      return queuedRows;
    },
    async close(timeoutMs) {
      isClosing = true;
      const deadline = setTimeout(() => stopping.abort(), timeoutMs);
      clearTimeout(timer);
      while (queuedRows > 0 || publishing !== undefined) {
        if (publishing === undefined) start();
        await publishing;
        clearTimeout(timer);
        timer = undefined;
      }
      clearTimeout(deadline);
      stopping.abort();
    },
  };
}

function sampleRows(count: number, ratio: number): number[] {
  const rows: number[] = [];
  for (let row = 0; row < count; row++) if (ratio >= 1 || Math.random() < ratio) rows.push(row);
  return rows;
}

function outputBytes(outputs: Scored['rows']['outputs']['outputs']): number {
  let sizeBytes = 0;
  for (const { data } of outputs) sizeBytes += ArrayBuffer.isView(data) ? data.byteLength : data.length * 64;
  return sizeBytes;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
