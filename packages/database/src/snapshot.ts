/**
 * All rows of a database as they were at one moment, while others go on writing: what a backup is made of. It only reads:
 * the schema is taken as it is found, whichever version wrote it.
 */
import { AssayError } from '@assay/contracts';

export type SnapshotRow = Readonly<Record<string, string | number | null>>;

export interface DatabaseSnapshot extends AsyncDisposable {
  /** The names of the migrations that it has, oldest first; none where the database is empty. */
  readonly migrations: readonly string[];
  /** Its tables, by name, without the record of the migrations. */
  readonly tables: readonly string[];
  /** In no particular order, in constant memory. Of one table at a time. */
  rows(table: string): AsyncIterable<SnapshotRow>;
}

/** Where the migrations are recorded; see migrations.ts. */
export const MIGRATIONS_TABLE = 'assay_migrations';

/**
 * Opens the database behind an url of `openDatabase`, for reading alone.
 * @throws AssayError NOT_FOUND where there is no such file; FAILED_PRECONDITION or UNAVAILABLE as `openDatabase` does
 */
export async function openSnapshot(url: string): Promise<DatabaseSnapshot> {
  if (/^postgres(ql)?:/.test(url)) {
    const { openPostgresSnapshot } = await import('./postgres-snapshot.ts');
    return openPostgresSnapshot(url);
  }
  const path = /^sqlite:(.+)$/.exec(url)?.[1];
  if (path === undefined || path === ':memory:') {
    throw new AssayError('INVALID_ARGUMENT', 'a snapshot is taken of sqlite:FILE or of postgres://HOST/DATABASE');
  }
  const { openSqliteSnapshot } = await import('./sqlite-snapshot.ts');
  return openSqliteSnapshot(path);
}
