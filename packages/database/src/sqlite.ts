/** Opens SQLite by better-sqlite3: how the file is kept. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { AssayError } from '@assay/contracts';
import BetterSqlite3 from 'better-sqlite3';
import type { Database, Migration } from './database.ts';
import { mapDatabaseError } from './errors.ts';
import { like } from './like.ts';
import { checkMigrationList, migrate } from './migrations.ts';
import { openOneWriter } from './one-writer.ts';
import { createDriver, type Files, letOthersRun, retryWhileBusy, TwoConnectionDialect } from './sqlite-driver.ts';

/** The part of a wait for another process's lock that blocks this thread; the rest is waited for asynchronously. */
const BLOCKING_WAIT_MS = 10;
/** The write-ahead log is cut back to this after a checkpoint. */
const MAX_IDLE_LOG_BYTES = 64 * 1024 * 1024;

export async function openSqlite<Tables>(
  path: string,
  options: { readonly migrations: readonly Migration[]; readonly signal?: AbortSignal | undefined },
): Promise<Database<Tables>> {
  checkMigrationList(options.migrations);
  const files = await openFiles(path, options.signal);
  return openOneWriter<Tables>({
    where: path,
    migrations: options.migrations,
    signal: options.signal,
    createDialect: (turns) => new TwoConnectionDialect(createDriver(path, files, turns)),
    migrate: (db) => migrate(db, options.migrations, path),
    beforeBegin: letOthersRun,
    closeConnections: () => closeFiles(files),
  });
}

async function openFiles(path: string, signal: AbortSignal | undefined): Promise<Files> {
  const inMemory = path === ':memory:';
  let writer: BetterSqlite3.Database | undefined;
  try {
    if (!inMemory) mkdirSync(dirname(path), { recursive: true });
    const opened = new BetterSqlite3(path, { timeout: BLOCKING_WAIT_MS });
    writer = opened;
    const mode = await retryWhileBusy(() => opened.pragma('journal_mode = WAL', { simple: true }), signal);
    if (!inMemory && mode !== 'wal') {
      const message = `database ${path}: its file system has no write-ahead log; use a local disk`;
      throw new AssayError('FAILED_PRECONDITION', message);
    }
    opened.pragma('synchronous = FULL');
    opened.pragma('foreign_keys = ON');
    opened.pragma('trusted_schema = OFF');
    opened.pragma(`journal_size_limit = ${MAX_IDLE_LOG_BYTES}`);
    const reader = inMemory ? opened : new BetterSqlite3(path, { readonly: true, timeout: BLOCKING_WAIT_MS });
    for (const file of new Set([opened, reader])) {
      // SQLite looks a function up by its name and its number of arguments.
      file.function('like', { deterministic: true }, (pattern, text) => like(pattern, text));
      file.function('like', { deterministic: true }, (pattern, text, escapedBy) => like(pattern, text, escapedBy));
    }
    return { writer: opened, reader };
  } catch (error) {
    writer?.close();
    throw mapOpenError(error, path);
  }
}

function closeFiles({ writer, reader }: Files): void {
  if (reader !== writer) reader.close();
  writer.close(); // last, so that it checkpoints and removes the log
}

function mapOpenError(error: unknown, path: string): unknown {
  if (error instanceof Error && 'code' in error && 'syscall' in error) {
    const message = `database ${path}: its folder cannot be made (${String(error.code)}); choose another data folder`;
    return new AssayError('FAILED_PRECONDITION', message, { cause: error });
  }
  if (error instanceof TypeError) {
    // better-sqlite3 checks the folder itself
    const message = `database ${path}: cannot be opened; check that its folder exists and may be written`;
    return new AssayError('FAILED_PRECONDITION', message, { cause: error });
  }
  return mapDatabaseError(error, path);
}
