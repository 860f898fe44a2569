import { AssayError } from '@assay/contracts';
import type { Database, Migration } from './database.ts';

export interface OpenDatabaseOptions {
  /** The whole schema, oldest first. */
  readonly migrations: readonly Migration[];
  readonly signal?: AbortSignal;
}

/**
 * Opens (and makes, and migrates) a database.
 * @param url `sqlite:/var/lib/assay/registry.sqlite`, `sqlite:relative.sqlite`, `sqlite::memory:`, or
 *   `postgres://user:password@host:5432/database?schema=registry` (postgres-url.ts lists its parameters). Of PostgreSQL
 *   each service has a schema of its own, made where it is missing; the database itself must exist.
 * @throws AssayError INVALID_ARGUMENT for an unknown url; FAILED_PRECONDITION when the file is damaged, read-only, or has a
 *   newer schema, and when the server refuses the user, the password or the database; UNAVAILABLE when the file is locked,
 *   the disk is full, or the server cannot be reached
 */
export async function openDatabase<Tables>(url: string, options: OpenDatabaseOptions): Promise<Database<Tables>> {
  // Drivers are loaded only when chosen.
  if (/^postgres(ql)?:/.test(url)) {
    const { openPostgres } = await import('./postgres.ts');
    return openPostgres<Tables>(url, options);
  }
  const path = /^sqlite:(.+)$/.exec(url)?.[1];
  if (path === undefined || path.includes('\0')) {
    const scheme = /^[a-z0-9+]+:/.exec(url)?.[0] ?? url.slice(0, 20);
    throw new AssayError(
      'INVALID_ARGUMENT',
      `"${scheme}" is no database url; expected sqlite:FILE, sqlite::memory: or postgres://HOST/DATABASE`,
    );
  }
  const { openSqlite } = await import('./sqlite.ts');
  return openSqlite<Tables>(path, options);
}
