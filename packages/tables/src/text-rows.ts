/**
 * CSV and NDJSON cut into rows without reading the values: which rows can be read, which are broken and where, and where
 * the next ones begin, so that any range of rows is found again by its byte offset. A broken row ends at the next line
 * break; after a quote that is never closed nothing can be told apart, and the reader gives up.
 */
import { isUtf8 } from 'node:buffer';
import { type FileHandle, open } from 'node:fs/promises';
import { DataError } from './data-error.ts';

/** Where the next row of a text file begins. */
export interface TextPosition {
  readonly offsetBytes: number;
  /** From 1 on, as an editor counts. */
  readonly line: number;
  /** Rows before it, broken ones included. */
  readonly rows: number;
}

export interface BrokenRow {
  /** From 1 on, the header not counted. */
  readonly row: number;
  readonly line: number;
  readonly message: string;
}

/** Good rows that follow each other without a broken one between. */
export interface RowRun {
  /** Of the first, from 1 on. */
  readonly row: number;
  readonly rows: number;
}

export interface TextRows {
  readonly rows: number;
  readonly runs: readonly RowRun[];
  readonly broken: readonly BrokenRow[];
  readonly next: TextPosition;
  readonly ended: boolean;
}

/** Looks at one row: `end` is after its last byte, line break not counted. Gives what is wrong with it. */
export type CheckRow = (bytes: Uint8Array, start: number, end: number) => string | undefined;

/** How rows are told apart. */
export type RowRules =
  | { readonly format: 'csv'; readonly columns: number }
  | { readonly format: 'ndjson'; readonly check: CheckRow };

/** A row that is longer is broken; a quote open for longer is never closed. */
export const MAX_ROW_BYTES = 1 << 20;
const READ_BYTES = 1 << 20;
const NEWLINE = 10;
const RETURN = 13;
const QUOTE = 34;
const COMMA = 44;

export interface FrameOptions {
  readonly path: string;
  readonly from: TextPosition;
  readonly maxRows: number;
  readonly rules: RowRules;
  /** Gets the bytes of the good rows, each ended by a line feed. */
  readonly write: (bytes: Uint8Array) => Promise<unknown>;
  readonly signal: AbortSignal;
}

/**
 * Reads up to `maxRows` rows. Blank lines are no rows.
 * @throws DataError when a quote is left open
 */
export async function frameRows(options: FrameOptions): Promise<TextRows> {
  const handle = await open(options.path);
  try {
    return await new Framer(options, handle).run();
  } finally {
    await handle.close();
  }
}

/** Where the data of a CSV file begins: after its header, and after the byte order mark before that. */
export async function afterHeader(path: string, columns: number, signal: AbortSignal): Promise<TextPosition> {
  const handle = await open(path);
  const mark = await handle.read(Buffer.alloc(3), 0, 3, 0).finally(() => handle.close());
  const hasMark = mark.bytesRead === 3 && mark.buffer[0] === 0xef && mark.buffer[1] === 0xbb && mark.buffer[2] === 0xbf;
  const { next } = await frameRows({
    path,
    from: { offsetBytes: hasMark ? 3 : 0, line: 1, rows: 0 },
    maxRows: 1,
    rules: { format: 'csv', columns },
    write: async () => undefined,
    signal,
  });
  return { ...next, rows: 0 };
}

interface Row {
  /** After the last byte, without its line break. */
  readonly end: number;
  /** After the line break. */
  readonly next: number;
  readonly lines: number;
  readonly problem: string | undefined;
}

class Framer {
  readonly #options: FrameOptions;
  readonly #handle: FileHandle;
  #buffer: Buffer = Buffer.alloc(0);
  /** Of the buffer's first byte. */
  #bufferOffset: number;
  #isAtEnd = false;

  constructor(options: FrameOptions, handle: FileHandle) {
    this.#options = options;
    this.#handle = handle;
    this.#bufferOffset = options.from.offsetBytes;
  }

  async run(): Promise<TextRows> {
    const { from, maxRows, signal, write } = this.#options;
    const runs: { row: number; rows: number }[] = [];
    const broken: BrokenRow[] = [];
    let { line } = from;
    let taken = 0;
    let good = 0;
    let at = 0;
    const pieces: Uint8Array[] = [];
    const flush = async (): Promise<void> => {
      if (pieces.length > 0) await write(Buffer.concat(pieces));
      pieces.length = 0;
    };
    for (;;) {
      signal.throwIfAborted();
      // All rows that are whole in the buffer; what goes on beyond it is looked at again with more.
      const wholeTo = this.#isAtEnd ? this.#buffer.length : this.#buffer.lastIndexOf(NEWLINE) + 1;
      const isValidText = isUtf8(this.#buffer.subarray(at, Math.max(at, wholeTo)));
      let goodFrom = -1;
      let goodTo = -1;
      const keep = (start: number, end: number): void => {
        if (goodTo !== start) {
          if (goodFrom >= 0) pieces.push(this.#buffer.subarray(goodFrom, goodTo));
          goodFrom = start;
        }
        goodTo = end;
      };
      while (taken < maxRows) {
        const row = this.#rowAt(at);
        if (row === undefined) break;
        if (row.end === at) {
          line += row.lines; // a blank line
          at = row.next;
          continue;
        }
        taken++;
        const problem = row.problem ?? this.#problemOf(at, row.end, isValidText);
        if (problem === undefined) {
          good++;
          const last = runs.at(-1);
          const number = from.rows + taken;
          if (last !== undefined && last.row + last.rows === number) last.rows++;
          else runs.push({ row: number, rows: 1 });
          if (row.next === row.end + 1) keep(at, row.next);
          else {
            // A carriage return before the line feed, or no line break at the end of the file.
            if (goodFrom >= 0) pieces.push(this.#buffer.subarray(goodFrom, goodTo));
            goodFrom = -1;
            goodTo = -1;
            pieces.push(this.#buffer.subarray(at, row.end), LINE_FEED);
          }
        } else broken.push({ row: from.rows + taken, line, message: problem });
        line += row.lines;
        at = row.next;
      }
      if (goodFrom >= 0) pieces.push(this.#buffer.subarray(goodFrom, goodTo));
      await flush();
      const ended = this.#isAtEnd && at >= this.#buffer.length;
      if (taken === maxRows || ended) {
        const next = { offsetBytes: this.#bufferOffset + at, line, rows: from.rows + taken };
        return { rows: good, runs, broken, next, ended };
      }
      await this.#readMore(at, line);
      at = 0;
    }
  }

  async #readMore(at: number, line: number): Promise<void> {
    const rest = this.#buffer.subarray(at);
    if (rest.length > MAX_ROW_BYTES + READ_BYTES) {
      const message = `a row of more than ${MAX_ROW_BYTES} bytes begins here, or a quote is left open`;
      throw gaveUp(this.#options.path, line, message);
    }
    this.#bufferOffset += at;
    const more = Buffer.allocUnsafe(READ_BYTES);
    const { bytesRead } = await this.#handle.read(more, 0, READ_BYTES, this.#bufferOffset + rest.length);
    if (bytesRead === 0) {
      if (this.#isAtEnd) throw gaveUp(this.#options.path, line, 'a quote is left open to the end of the file');
      this.#isAtEnd = true;
    }
    this.#buffer = Buffer.concat([rest, more.subarray(0, bytesRead)]);
  }

  /** The row that begins at `start`; undefined where more of the file is needed to see its end. */
  #rowAt(start: number): Row | undefined {
    const { rules } = this.#options;
    const buffer = this.#buffer;
    if (start >= buffer.length) return undefined;
    const newline = buffer.indexOf(NEWLINE, start);
    const lineEnd = newline === -1 ? (this.#isAtEnd ? buffer.length : -1) : newline;
    if (lineEnd === -1) return undefined;
    if (rules.format === 'ndjson') return this.#endedAt(start, lineEnd, 1, undefined);
    let commas = 0;
    for (let i = start; i < lineEnd; i++) {
      const byte = buffer[i];
      if (byte === COMMA) commas++;
      else if (byte === QUOTE) return this.#quotedRowAt(start, rules.columns);
    }
    return this.#endedAt(start, lineEnd, 1, columnProblem(commas + 1, rules.columns));
  }

  /** RFC 4180: a field is quoted whole or not at all, and a quote within is doubled. */
  #quotedRowAt(start: number, columns: number): Row | undefined {
    const buffer = this.#buffer;
    let found = 1;
    let lines = 1;
    let state: 'start' | 'plain' | 'quoted' | 'closed' = 'start';
    let problem: string | undefined;
    for (let i = start; ; i++) {
      if (i >= buffer.length) {
        if (!this.#isAtEnd || state === 'quoted') return undefined;
        return this.#endedAt(start, i, lines, problem ?? columnProblem(found, columns));
      }
      const byte = buffer[i];
      if (state === 'quoted') {
        if (byte === NEWLINE) lines++;
        else if (byte === QUOTE) state = 'closed';
        continue;
      }
      if (byte === NEWLINE) return this.#endedAt(start, i, lines, problem ?? columnProblem(found, columns));
      if (problem !== undefined) continue; // to the end of its line
      if (byte === COMMA) {
        found++;
        state = 'start';
      } else if (byte === QUOTE) {
        if (state === 'plain') problem = `a quote stands in the middle of column ${found}`;
        else state = 'quoted'; // its first, or one that is doubled
      } else if (state === 'closed' && !(byte === RETURN && buffer[i + 1] === NEWLINE)) {
        problem = `text follows the closing quote of column ${found}`;
        state = 'plain';
      } else if (state === 'start') state = 'plain';
    }
  }

  #endedAt(start: number, lineEnd: number, lines: number, problem: string | undefined): Row {
    const end = lineEnd > start && this.#buffer[lineEnd - 1] === RETURN ? lineEnd - 1 : lineEnd;
    return { end, next: Math.min(lineEnd + 1, this.#buffer.length), lines, problem };
  }

  #problemOf(start: number, end: number, isValidText: boolean): string | undefined {
    const { rules } = this.#options;
    if (end - start > MAX_ROW_BYTES) return `it is longer than ${MAX_ROW_BYTES} bytes`;
    if (!isValidText && !isUtf8(this.#buffer.subarray(start, end))) return 'it is not UTF-8';
    return rules.format === 'ndjson' ? rules.check(this.#buffer, start, end) : undefined;
  }
}

const LINE_FEED = new Uint8Array([NEWLINE]);

function columnProblem(found: number, expected: number): string | undefined {
  return found === expected ? undefined : `it has ${found} column${found === 1 ? '' : 's'}, the header ${expected}`;
}

function gaveUp(path: string, line: number, message: string): DataError {
  return new DataError(`${path}:${line}: ${message}; what follows cannot be told apart`, {
    details: [{ place: `${path}:${line}`, message }],
  });
}

const decoder = new TextDecoder();

/** A line of NDJSON: an object. */
export function checkJsonRow(bytes: Uint8Array, start: number, end: number): string | undefined {
  const text = decoder.decode(bytes.subarray(start, end));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `it is not JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is JSON, but no object';
  // `JSON.stringify` writes half of a pair as an escape, and a whole one as it is.
  if (/\\u[dD]/.test(text) && /\\ud[89a-f]/.test(JSON.stringify(value)))
    return 'a string in it holds half of a surrogate pair';
  return undefined;
}
