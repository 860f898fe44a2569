/**
 * DuckDB as a sandbox: an in-memory database that reads the files it was given, and nothing else: no other file, no
 * network, no extension but those linked in, and its settings are locked. So the SQL of a spec can compute, not reach out.
 */
import type { DuckDBConnection, DuckDBResult, DuckDBValue } from '@duckdb/node-api';

export interface SandboxOptions {
  /** The only files that SQL may open. */
  readonly files: readonly string[];
  readonly threads: number;
  /** Memory that DuckDB may hold before it writes to `tempDir`, or fails without one. */
  readonly memoryLimitBytes?: number;
  /** Where it may spill; it is made if it is not there. */
  readonly tempDir?: string;
}

export interface Sandbox {
  /** `1.5.6` */
  readonly version: string;
  /** Runs statements without a result. */
  run(sql: string, signal: AbortSignal): Promise<void>;
  /** All rows of a small result, as DuckDB's JavaScript values. */
  rows(sql: string, signal: AbortSignal): Promise<DuckDBValue[][]>;
  /** A result chunk by chunk; what does not fit in memory never has to. */
  stream(sql: string, signal: AbortSignal): Promise<DuckDBResult>;
  readonly connection: DuckDBConnection;
  close(): void;
}

export async function openSandbox(options: SandboxOptions): Promise<Sandbox> {
  // Lazily: DuckDB is 70 MB of native code that only who reads tables should load.
  const { DuckDBInstance, version } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(options.threads),
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    ...(options.memoryLimitBytes === undefined
      ? {}
      : { memory_limit: `${Math.floor(options.memoryLimitBytes / 1024)}KiB` }),
    temp_directory: options.tempDir ?? '',
  });
  const connection = await instance.connect();
  const close = () => {
    connection.closeSync();
    instance.closeSync();
  };
  try {
    // Instants without an offset are UTC on every machine.
    await connection.run(`SET TimeZone = 'UTC'`);
    await connection.run(`SET allowed_paths = [${options.files.map(literal).join(', ')}]`);
    await connection.run('SET enable_external_access = false');
    await connection.run('SET lock_configuration = true');
  } catch (error) {
    close();
    throw error;
  }

  async function interruptible<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const interrupt = () => connection.interrupt();
    signal.addEventListener('abort', interrupt);
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted(); // an interrupted query is our abort, not DuckDB's failure
      throw error;
    } finally {
      signal.removeEventListener('abort', interrupt);
    }
  }

  return {
    version: version().replace(/^v/, ''),
    connection,
    close,
    run: (sql, signal) => interruptible(signal, async () => void (await connection.run(sql))),
    rows: (sql, signal) => interruptible(signal, async () => (await connection.runAndReadAll(sql)).getRows()),
    stream: (sql, signal) => interruptible(signal, () => connection.stream(sql)),
  };
}

/** `text` as an SQL string. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** `name` as an SQL identifier. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** DuckDB's own reason, in one line: without its picture of the statement and its list of reader options. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const lines = text.split('\n');
  const end = lines.findIndex((line) =>
    /^(LINE \d+:|Possible (fixes|solutions):|The search space used was:)/.test(line),
  );
  return lines
    .slice(0, end === -1 ? undefined : end)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('; ');
}
