/** Predictions as Parquet. DuckDB is loaded when the first file is written or read, not before: it is 70 MB of native code. */

import { AssayError, PredictionEntry, parse } from '@assay/contracts';
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

export interface Parquet {
  /** Writes a new file at `path`, in the order given. */
  write(path: string, entries: readonly PredictionEntry[], signal: AbortSignal): Promise<void>;
  find(path: string, id: string, signal: AbortSignal): Promise<PredictionEntry | undefined>;
  /** Of `fromMs` to `toMs`, both included, newest first. */
  list(path: string, query: FileQuery, signal: AbortSignal): Promise<PredictionEntry[]>;
  close(): void;
}

export interface FileQuery {
  readonly fromMs: number;
  readonly toMs: number;
  readonly limit: number;
}

/** Column → its SQL type; the order is that of the files. */
const COLUMNS = {
  id: 'VARCHAR',
  at: 'BIGINT',
  door: 'VARCHAR',
  endpointId: 'VARCHAR',
  endpointName: 'VARCHAR',
  modelName: 'VARCHAR',
  version: 'BIGINT',
  versionId: 'VARCHAR',
  digest: 'VARCHAR',
  routingRevision: 'BIGINT',
  executionClass: 'VARCHAR',
  record: 'VARCHAR',
  outputs: 'VARCHAR',
  cached: 'BOOLEAN',
  traceId: 'VARCHAR',
} as const satisfies Record<keyof PredictionEntry, string>;
const NAMES = Object.keys(COLUMNS) as (keyof PredictionEntry)[]; // the keys of the object above

const snake = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
/** As it is in the files: a timestamp for the analyst's tools. */
const WRITTEN = NAMES.map((name) =>
  name === 'at' ? `make_timestamp("at" * 1000) AS "at"` : `"${name}" AS ${snake(name)}`,
);
const BY_COLUMN = new Map(NAMES.map((name) => [snake(name), name]));

export function createParquet(): Parquet {
  let opening: Promise<DuckDBInstance> | undefined;

  async function open(): Promise<DuckDBInstance> {
    const { DuckDBInstance } = await import('@duckdb/node-api');
    return DuckDBInstance.create(':memory:', {
      threads: '1',
      memory_limit: '512MiB',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
  }

  async function withConnection<T>(signal: AbortSignal, work: (c: DuckDBConnection) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    opening ??= open();
    const connection = await (await opening).connect();
    const interrupt = (): void => connection.interrupt();
    signal.addEventListener('abort', interrupt);
    try {
      return await work(connection);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', interrupt);
      connection.closeSync();
    }
  }

  async function select(path: string, tail: string, values: (string | bigint)[], signal: AbortSignal) {
    return withConnection(signal, async (connection) => {
      const sql = `SELECT * REPLACE (epoch_ms("at") AS "at") FROM read_parquet(${literal(path)}, hive_partitioning = false) ${tail}`;
      const reader = await connection.runAndReadAll(sql, values);
      return reader.getRowObjects().map((row) => parse(PredictionEntry, plain(row), `a row of ${path}`));
    });
  }

  return {
    write: (path, entries, signal) =>
      withConnection(signal, async (connection) => {
        const columns = NAMES.map((name) => `"${name}" ${COLUMNS[name]}`).join(', ');
        await connection.run(`CREATE TEMP TABLE rows (${columns})`);
        const appender = await connection.createAppender('rows');
        for (const entry of entries) {
          for (const name of NAMES) {
            const value = entry[name];
            if (value === undefined) appender.appendNull();
            else if (typeof value === 'number') appender.appendBigInt(BigInt(value));
            else if (typeof value === 'boolean') appender.appendBoolean(value);
            else appender.appendVarchar(value);
          }
          appender.endRow();
        }
        appender.closeSync();
        await connection.run(
          `COPY (SELECT ${WRITTEN.join(', ')} FROM rows) TO ${literal(path)} (FORMAT parquet, COMPRESSION zstd)`,
        );
        await connection.run('DROP TABLE rows');
      }),
    async find(path, id, signal) {
      const [found] = await select(path, 'WHERE id = $1 LIMIT 1', [id], signal);
      return found;
    },
    list: (path, { fromMs, toMs, limit }, signal) =>
      select(
        path,
        `WHERE epoch_ms("at") BETWEEN $1 AND $2 ORDER BY "at" DESC, id DESC LIMIT ${limit}`,
        [BigInt(fromMs), BigInt(toMs)],
        signal,
      ),
    close() {
      opening?.then((instance) => instance.closeSync()).catch(() => undefined);
      opening = Promise.reject(new AssayError('UNAVAILABLE', 'the service is stopping'));
      opening.catch(() => undefined);
    },
  };
}

/** Files of before have fewer columns; what was not said is null. */
function plain(row: Record<string, unknown>): Record<string, unknown> {
  const entry: Record<string, unknown> = {};
  for (const [column, value] of Object.entries(row)) {
    const name = BY_COLUMN.get(column);
    if (name !== undefined && value !== null) entry[name] = typeof value === 'bigint' ? Number(value) : value;
  }
  return entry;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
