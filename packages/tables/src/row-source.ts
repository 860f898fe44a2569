/**
 * Rows of files in their order, some at a time: the same range gives the same rows, today and after a restart. A range is
 * loaded into a table of its own, whose features are then streamed and whose results are written beside chosen columns.
 */
import { mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AssayError } from '@assay/contracts';
import { DataError } from './data-error.ts';
import { identifier, literal, reasonOf, type Sandbox } from './duckdb.ts';
import type { SourceColumn } from './expressions.ts';
import { type BoundFeature, bindFeatures, type FeatureRequest, missingColumn, rawName } from './feature-sql.ts';
import { describeInput, findInput } from './input-files.ts';
import { type LoadedRows, loadedRows } from './loaded-rows.ts';
import { openRowEngine, type RowEngine } from './row-engine.ts';
import { carefulSelection, parquetRows, strictSelection, textRows } from './row-queries.ts';
import type { DataFile, DataFormat } from './source-files.ts';
import {
  afterHeader,
  type BrokenRow,
  checkJsonRow,
  frameRows,
  type RowRules,
  type RowRun,
  type TextPosition,
} from './text-rows.ts';

/** Where the next row is: in which file, and where in it. Plain JSON, to be kept and come back to. */
export interface RowPosition extends TextPosition {
  readonly file: number;
}

export interface RowSourceOptions {
  /** An absolute file name or glob. */
  readonly path: string;
  readonly format?: DataFormat;
  /** CSV and NDJSON: SQL types for expressions, where the first rows mislead. */
  readonly types?: Readonly<Record<string, string>>;
  /** A folder for temporary files, and for those that are written; it is there. */
  readonly workDir: string;
  readonly memoryLimitBytes: number;
  readonly signal: AbortSignal;
}

export interface RowSource {
  readonly files: readonly DataFile[];
  readonly format: DataFormat;
  readonly columns: readonly SourceColumn[];
  /** Features come as the JSON of their row, not as columns. */
  readonly hasDocuments: boolean;
  readonly start: RowPosition;
  /** About how much of the input is before `position`, from 0 to 1. */
  fractionBefore(position: RowPosition): number;
  /**
   * What is read of each row.
   * @throws AssayError INVALID_ARGUMENT with each place that is wrong
   */
  bind(request: {
    readonly features: readonly FeatureRequest[];
    /** Columns to keep for `LoadedRows.write`. */
    readonly copy: readonly string[];
    readonly signal: AbortSignal;
  }): Promise<void>;
  /**
   * Loads up to `rows` rows from `from` on, broken ones counted. Not two at a time.
   * @throws DataError when the files cannot be read on, or changed meanwhile
   */
  load(from: RowPosition, rows: number, signal: AbortSignal): Promise<LoadedRows>;
  close(): Promise<void>;
}

export async function openRowSource(options: RowSourceOptions): Promise<RowSource> {
  const { path, workDir, signal } = options;
  const { files, format } = await findInput(options);
  const spillDir = join(workDir, 'spill');
  await mkdir(spillDir, { recursive: true });
  const engine = await openRowEngine({
    files: files.map((file) => file.path),
    directories: [workDir],
    memoryLimitBytes: options.memoryLimitBytes,
    tempDir: spillDir,
  });
  try {
    const session = await engine.connect();
    const opened: Opened = { options, files, format, engine, session };
    const columns = await describeInput(session, opened, options.types, signal);
    const start = await startOf(opened, 0, columns, signal);
    return new Source(opened, columns, start);
  } catch (error) {
    engine.close();
    signal.throwIfAborted();
    throw error instanceof AssayError ? error : new DataError(`${path}: ${reasonOf(error)}`, { cause: error });
  }
}

interface Opened {
  readonly options: RowSourceOptions;
  readonly files: readonly DataFile[];
  readonly format: DataFormat;
  readonly engine: RowEngine;
  readonly session: Sandbox;
}

async function startOf(
  { files, format }: Pick<Opened, 'files' | 'format'>,
  file: number,
  columns: readonly SourceColumn[],
  signal: AbortSignal,
): Promise<RowPosition> {
  const path = files[file]?.path;
  if (format !== 'csv' || path === undefined) return { file, offsetBytes: 0, line: 1, rows: 0 };
  return { file, ...(await afterHeader(path, columns.length, signal)) };
}

/** Some rows of one file: what SQL reads them from, and which they are. */
interface Segment {
  readonly file: number;
  readonly sql: string;
  readonly rows: number;
  readonly runs: readonly RowRun[];
  readonly broken: readonly BrokenRow[];
}

class Source implements RowSource {
  readonly files: readonly DataFile[];
  readonly format: DataFormat;
  readonly columns: readonly SourceColumn[];
  readonly start: RowPosition;
  readonly hasDocuments: boolean;
  readonly #opened: Opened;
  readonly #rowCounts = new Map<number, number>();
  #features: readonly BoundFeature[] = [];
  #copies: readonly string[] = [];
  #needsTypes = false;
  #loads = 0;

  constructor(opened: Opened, columns: readonly SourceColumn[], start: RowPosition) {
    this.#opened = opened;
    this.files = opened.files;
    this.format = opened.format;
    this.hasDocuments = opened.format === 'ndjson';
    this.columns = columns;
    this.start = start;
  }

  fractionBefore({ file, offsetBytes, rows }: RowPosition): number {
    let all = 0;
    let before = 0;
    for (const [i, { sizeBytes }] of this.files.entries()) {
      all += sizeBytes;
      if (i < file) before += sizeBytes;
      const count = this.#rowCounts.get(i);
      if (i === file) before += this.format === 'parquet' ? (count ? (rows / count) * sizeBytes : 0) : offsetBytes;
    }
    return before / all;
  }

  async bind({ features, copy, signal }: Parameters<RowSource['bind']>[0]): Promise<void> {
    const { session } = this.#opened;
    const { columns, format } = this;
    this.#needsTypes = features.some(({ expression }) => expression !== undefined);
    const [first] = this.files;
    const body =
      format === 'parquet'
        ? `SELECT * FROM read_parquet(${literal(first?.path ?? '')})`
        : `SELECT ${columns.map(({ name, type }) => `CAST(NULL AS ${type}) AS ${identifier(name)}`).join(', ') || 'NULL AS nothing'}`;
    await this.#shapeAs(body, signal);
    this.#features = await bindFeatures(session, { format, columns }, features, signal);
    this.#copies = copy.map((name, i) => {
      const index = columns.findIndex((column) => column.name === name);
      if (index === -1) throw missingColumn(`output.columns[${i}]`, name, columns);
      return format === 'parquet' ? identifier(name) : rawName(index);
    });
  }

  async #shapeAs(body: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#opened.session.run(`CREATE OR REPLACE TABLE shape AS ${body} LIMIT 0`, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw new AssayError('INVALID_ARGUMENT', `input.types: ${reasonOf(error)}`, { cause: error });
    }
  }

  async load(from: RowPosition, rows: number, signal: AbortSignal): Promise<LoadedRows> {
    const { engine, session, options } = this.#opened;
    const table = `rows_${this.#loads++}`;
    const segments: Segment[] = [];
    let position = from;
    let taken = 0;
    let isThere = false;
    const slices: string[] = [];
    try {
      while (taken < rows && position.file < this.files.length) {
        const { segment, next, ended } = await this.#segment(
          position,
          rows - taken,
          `${table}_${segments.length}`,
          signal,
        );
        if (this.format !== 'parquet') slices.push(this.#slicePath(`${table}_${segments.length}`));
        taken += next.rows - position.rows;
        segments.push(segment);
        if (segment.rows > 0 || !isThere) {
          await this.#insert(table, segment, isThere, signal);
          isThere = true;
        }
        position = ended ? await startOf(this.#opened, position.file + 1, this.columns, signal) : next;
        await this.#requireUnchanged(segment.file);
      }
    } finally {
      for (const slice of slices) await rm(slice, { force: true });
    }
    const counted = isThere ? await session.rows(`SELECT count(problem) FROM ${table}`, signal) : [];
    return loadedRows({
      engine,
      session,
      table,
      features: this.#features,
      hasDocuments: this.hasDocuments,
      hasProblems: Number(counted[0]?.[0] ?? 0) > 0,
      copies: this.#copies.length,
      segments,
      rowsIn: taken,
      next: position.file < this.files.length ? position : undefined,
      workDir: options.workDir,
    });
  }

  #slicePath(name: string): string {
    return join(this.#opened.options.workDir, `${name}.slice`);
  }

  async #segment(
    position: RowPosition,
    rows: number,
    name: string,
    signal: AbortSignal,
  ): Promise<{ segment: Segment; next: RowPosition; ended: boolean }> {
    const { file } = position;
    const path = this.files[file]?.path ?? '';
    if (this.format === 'parquet') {
      const all = await this.#parquetRows(file, signal);
      const to = Math.min(all, position.rows + rows);
      const sql = parquetRows(path, position.rows, to);
      const count = to - position.rows;
      const runs = count === 0 ? [] : [{ row: position.rows + 1, rows: count }];
      return {
        segment: { file, sql, rows: count, runs, broken: [] },
        next: { ...position, rows: to },
        ended: to === all,
      };
    }
    const slice = this.#slicePath(name);
    const rules: RowRules =
      this.format === 'csv'
        ? { format: 'csv', columns: this.columns.length }
        : { format: 'ndjson', check: checkJsonRow };
    const handle = await open(slice, 'w');
    const framed = await frameRows({
      path,
      from: position,
      maxRows: rows,
      rules,
      write: (bytes) => handle.writeFile(bytes),
      signal,
    }).finally(() => handle.close());
    const { rows: count, runs, broken, next, ended } = framed;
    const { columns, format } = this;
    const sql = textRows(slice, { format, columns, needsTypes: this.#needsTypes, hasCopies: this.#copies.length > 0 });
    return { segment: { file, sql, rows: count, runs, broken }, next: { file, ...next }, ended };
  }

  /** Into the table: first as it stands; where SQL fails on a value, again with each row judged by itself. */
  async #insert(table: string, segment: Segment, isThere: boolean, signal: AbortSignal): Promise<void> {
    const { session } = this.#opened;
    const request = { features: this.#features, copies: this.#copies, hasDocuments: this.hasDocuments };
    const begin = isThere ? `INSERT INTO ${table}` : `CREATE TABLE ${table} AS`;
    try {
      await session.run(`${begin} ${strictSelection(request, segment.sql)}`, signal);
    } catch (strict) {
      signal.throwIfAborted();
      try {
        await session.run(`${begin} ${carefulSelection(request, segment.sql)}`, signal);
      } catch (error) {
        signal.throwIfAborted();
        const path = this.files[segment.file]?.path;
        throw new DataError(`${path}: ${reasonOf(error)}`, { cause: new AggregateError([strict, error]) });
      }
    }
  }

  async #parquetRows(file: number, signal: AbortSignal): Promise<number> {
    const known = this.#rowCounts.get(file);
    if (known !== undefined) return known;
    const path = literal(this.files[file]?.path ?? '');
    const rows = await this.#opened.session.rows(`SELECT num_rows FROM parquet_file_metadata(${path})`, signal);
    const count = Number(rows[0]?.[0]);
    this.#rowCounts.set(file, count);
    return count;
  }

  async #requireUnchanged(index: number): Promise<void> {
    const file = this.files[index];
    if (file === undefined) return;
    const now = await stat(file.path).catch(() => undefined);
    if (now?.size !== file.sizeBytes || now.mtimeMs !== file.modifiedMs) {
      throw new DataError(
        `${file.path} changed while it was being read; its digest would not be that of what was read`,
      );
    }
  }

  async close(): Promise<void> {
    this.#opened.engine.close();
    await rm(join(this.#opened.options.workDir, 'spill'), { recursive: true, force: true });
  }
}
