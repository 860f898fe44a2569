/** DuckDB for row-ordered work: one thread a statement, several statements at once, files of its own to write. */
import { literal, type Sandbox } from './duckdb.ts';

export interface RowEngineOptions {
  /** Files that SQL may read. */
  readonly files: readonly string[];
  /** Folders whose files SQL may read and write. */
  readonly directories: readonly string[];
  /** Memory that DuckDB may hold before it writes to `tempDir`. */
  readonly memoryLimitBytes: number;
  readonly tempDir: string;
}

export interface RowEngine {
  /** A connection of its own: each runs one statement at a time, all see the same tables. */
  connect(): Promise<Sandbox>;
  close(): void;
}

/** As the sandbox: no other file, no network, no extension but those linked in; its settings are locked. */
export async function openRowEngine(options: RowEngineOptions): Promise<RowEngine> {
  const { DuckDBInstance, version } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1', // rows keep their order, and files their bytes
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    memory_limit: `${Math.floor(options.memoryLimitBytes / 1024)}KiB`,
    temp_directory: options.tempDir,
  });
  const settings = [
    `SET GLOBAL TimeZone = 'UTC'`,
    // It moves what two TRYs have in common out of both, where its error is not caught.
    `SET GLOBAL disabled_optimizers = 'common_subexpressions'`,
    `SET GLOBAL allowed_paths = [${options.files.map(literal).join(', ')}]`,
    `SET GLOBAL allowed_directories = [${options.directories.map(literal).join(', ')}]`,
    'SET GLOBAL enable_external_access = false',
    'SET GLOBAL lock_configuration = true',
  ];
  const first = await instance.connect();
  try {
    for (const setting of settings) await first.run(setting);
  } catch (error) {
    first.closeSync();
    instance.closeSync();
    throw error;
  }
  const connections = [first];
  return {
    async connect() {
      const connection = await instance.connect();
      connections.push(connection);
      const interruptible = async <T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
        signal.throwIfAborted();
        const interrupt = () => connection.interrupt();
        signal.addEventListener('abort', interrupt);
        try {
          return await work();
        } catch (error) {
          signal.throwIfAborted();
          throw error;
        } finally {
          signal.removeEventListener('abort', interrupt);
        }
      };
      return {
        version: version().replace(/^v/, ''),
        connection,
        close: () => connection.closeSync(),
        run: (sql, signal) => interruptible(signal, async () => void (await connection.run(sql))),
        rows: (sql, signal) => interruptible(signal, async () => (await connection.runAndReadAll(sql)).getRows()),
        stream: (sql, signal) => interruptible(signal, () => connection.stream(sql)),
      };
    },
    close() {
      for (const connection of connections) connection.closeSync();
      instance.closeSync();
    },
  };
}
