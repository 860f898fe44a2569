/** A dataset: files of one format under one schema, readable by SQL. */
import { stat } from 'node:fs/promises';
import { AssayError } from '@assay/contracts';
import { CSV_DIALECT, diagnoseCsv, readCsvHeader } from './csv.ts';
import { DataError } from './data-error.ts';
import { literal, openSandbox, reasonOf, type Sandbox } from './duckdb.ts';
import { blame, type ColumnRequest, type Condition, checkExpressions, type SourceColumn } from './expressions.ts';
import { type PreparedTable, tableOf } from './prepared-table.ts';
import { type DataFile, type DataFormat, findDataFiles, formatOf } from './source-files.ts';

export interface DatasetSource {
  /** An absolute file name or glob; or the files that `findDataFiles` found, which are then not hashed again. */
  readonly path: string | readonly DataFile[];
  /** Default: by the file name. */
  readonly format?: DataFormat;
  /** CSV: SQL types of columns whose type the first rows do not tell. */
  readonly types?: Readonly<Record<string, string>>;
}

export interface DatasetOptions {
  /** Default 1. */
  readonly threads?: number;
  readonly memoryLimitBytes?: number;
  /** Where DuckDB may spill what does not fit into `memoryLimitBytes`. */
  readonly tempDir?: string;
  readonly signal: AbortSignal;
}

export interface Dataset {
  readonly files: readonly DataFile[];
  readonly format: DataFormat;
  readonly columns: readonly SourceColumn[];
  /** Of DuckDB, which reads it. */
  readonly engineVersion: string;
  countRows(signal: AbortSignal): Promise<number>;
  /** How many rows are exact copies of an earlier one. */
  countDuplicates(signal: AbortSignal): Promise<number>;
  /**
   * Reads the files once and keeps the requested columns, in the order of the rows.
   * @throws AssayError INVALID_ARGUMENT with the place of each expression that is wrong, and DuckDB's reason
   * @throws DataError when a row or a value is wrong
   */
  prepare(request: {
    readonly columns: readonly ColumnRequest[];
    readonly where?: Condition;
    readonly signal: AbortSignal;
  }): Promise<PreparedTable>;
  close(): void;
}

export async function openDataset(source: DatasetSource, options: DatasetOptions): Promise<Dataset> {
  const { signal } = options;
  const files = typeof source.path === 'string' ? await findDataFiles(source.path, signal) : source.path;
  const format = formatOf(files, source.format);
  const paths = files.map((file) => file.path);
  const sandbox = await openSandbox({
    files: paths,
    threads: options.threads ?? 1,
    ...(options.memoryLimitBytes === undefined ? {} : { memoryLimitBytes: options.memoryLimitBytes }),
    ...(options.tempDir === undefined ? {} : { tempDir: options.tempDir }),
  });
  const failure = async (error: unknown): Promise<unknown> => {
    signal.throwIfAborted();
    if (error instanceof AssayError) return error;
    // Not the data's fault, and not the caller's: it stays what it is.
    if (/Out of Memory Error/.test(String(error))) return new Error(reasonOf(error), { cause: error });
    const broken = format === 'csv' ? await diagnoseCsv(sandbox, paths, error, signal) : undefined;
    if (broken !== undefined) return broken;
    if (source.types !== undefined) {
      const message = reasonOf(error); // of a CSV file whose rows are sound
      return new AssayError('INVALID_ARGUMENT', `source.types: ${message}`, {
        details: [{ place: 'source.types', message }],
      });
    }
    return new DataError(reasonOf(error), { cause: error });
  };
  try {
    if (format === 'csv') for (const path of paths) checkHeader(path, await readCsvHeader(path));
    const columns = await describeSource(sandbox, readerOf(format, paths, source.types), signal);
    return datasetOf(sandbox, { files, format, columns, failure });
  } catch (error) {
    const failed = await failure(error).catch((other: unknown) => other);
    sandbox.close();
    throw failed;
  }
}

interface Opened {
  readonly files: readonly DataFile[];
  readonly format: DataFormat;
  readonly columns: readonly SourceColumn[];
  /** What an error of reading the files means. */
  failure(error: unknown): Promise<unknown>;
}

function datasetOf(sandbox: Sandbox, { files, format, columns, failure }: Opened): Dataset {
  const count = async (sql: string, signal: AbortSignal): Promise<number> => {
    try {
      return Number((await sandbox.rows(sql, signal))[0]?.[0]);
    } catch (error) {
      throw await failure(error);
    }
  };
  return {
    files,
    format,
    columns,
    engineVersion: sandbox.version,
    countRows: (signal) => count('SELECT count(*) FROM source', signal),
    countDuplicates: (signal) =>
      count('SELECT (SELECT count(*) FROM source) - (SELECT count(*) FROM (SELECT DISTINCT * FROM source))', signal),
    async prepare({ columns: requests, where, signal }) {
      const checked = await checkExpressions(sandbox, columns, requests, where, signal);
      const selection = checked.map(({ sql }, i) => `${sql} AS c${i}`).join(', ');
      const condition = where === undefined ? '' : ` WHERE (${where.expression}\n)`;
      try {
        await sandbox.run(`CREATE OR REPLACE TABLE prepared AS SELECT ${selection} FROM source${condition}`, signal);
      } catch (error) {
        signal.throwIfAborted();
        throw (await blame(sandbox, checked, where, signal)) ?? (await failure(error));
      }
      await requireUnchanged(files);
      return tableOf(
        sandbox,
        requests.map(({ name, dtype }) => ({ name, dtype })),
        signal,
      );
    },
    close: () => sandbox.close(),
  };
}

function readerOf(format: DataFormat, paths: readonly string[], types: DatasetSource['types']): string {
  const list = `[${paths.map(literal).join(', ')}]`;
  switch (format) {
    case 'csv': {
      const given = Object.entries(types ?? {}).map(([name, type]) => `${literal(name)}: ${literal(type)}`);
      return `read_csv(${list}, ${CSV_DIALECT}${given.length === 0 ? '' : `, types={${given.join(', ')}}`})`;
    }
    case 'ndjson':
      return `read_json(${list}, format='newline_delimited', ignore_errors=false)`;
    case 'parquet':
      return `read_parquet(${list})`;
  }
}

function checkHeader(path: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const [i, name] of names.entries()) {
    const problem =
      name.trim() === ''
        ? `column ${i + 1} has no name`
        : seen.has(name)
          ? `column "${name}" is there twice`
          : undefined;
    if (problem !== undefined)
      throw new DataError(`${path}: row 1: ${problem}`, { details: [{ place: `${path}:1`, message: problem }] });
    seen.add(name);
  }
}

async function describeSource(sandbox: Sandbox, reader: string, signal: AbortSignal): Promise<SourceColumn[]> {
  // A view, so that expressions name plain columns; and its shape without a row, against which they are checked: each
  // binding of the view itself would look into the files again.
  await sandbox.run(`CREATE VIEW source AS SELECT * FROM ${reader}`, signal);
  await sandbox.run('CREATE TABLE shape AS SELECT * FROM source LIMIT 0', signal);
  const rows = await sandbox.rows('SELECT column_name, column_type FROM (DESCRIBE shape)', signal);
  return rows.map(([name, type]) => ({ name: String(name), type: String(type) }));
}

async function requireUnchanged(files: readonly DataFile[]): Promise<void> {
  for (const file of files) {
    const now = await stat(file.path).catch(() => undefined);
    if (now?.size !== file.sizeBytes || now.mtimeMs !== file.modifiedMs) {
      throw new DataError(
        `${file.path} changed while it was being read; its digest would not be that of what was read`,
      );
    }
  }
}
