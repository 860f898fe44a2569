/** What the database reports, as one clear line of an AssayError. Constraint violations stay as they are: stores ask for them. */
import { AssayError, type ErrorCode } from '@assay/contracts';

interface Meaning {
  readonly code: ErrorCode;
  /** Continues "database PATH: ". */
  readonly message: string;
}

/** By the primary result code, https://www.sqlite.org/rescode.html; extended codes (SQLITE_IOERR_WRITE) fall back to it. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  SQLITE_FULL: { code: 'UNAVAILABLE', message: 'the disk is full; nothing of the change was kept. Free some space' },
  SQLITE_IOERR: {
    code: 'UNAVAILABLE',
    message: 'reading or writing the file failed; check the disk and its free space',
  },
  SQLITE_BUSY: {
    code: 'UNAVAILABLE',
    message: 'is locked by another process; stop that process, or use another data folder',
  },
  SQLITE_LOCKED: {
    code: 'UNAVAILABLE',
    message: 'is locked by another process; stop that process, or use another data folder',
  },
  SQLITE_READONLY: {
    code: 'FAILED_PRECONDITION',
    message: 'cannot be written; check the permissions of the file and its folder',
  },
  SQLITE_PERM: {
    code: 'FAILED_PRECONDITION',
    message: 'cannot be opened; check the permissions of the file and its folder',
  },
  SQLITE_CANTOPEN: {
    code: 'FAILED_PRECONDITION',
    message: 'cannot be opened; check that its folder exists and may be written',
  },
  SQLITE_CORRUPT: { code: 'FAILED_PRECONDITION', message: 'is damaged; restore it from a backup' },
  SQLITE_NOTADB: {
    code: 'FAILED_PRECONDITION',
    message: 'is not an SQLite database; choose another file, or restore it from a backup',
  },
};

/** The database's own code of an error: `SQLITE_CONSTRAINT_UNIQUE`, or PostgreSQL's `23505`. */
function databaseCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** `error` as an AssayError, if it says that the database itself is unwell; else as it is. */
export function mapDatabaseError(error: unknown, where: string): unknown {
  const code = databaseCode(error);
  if (code === undefined || !code.startsWith('SQLITE_')) return error;
  const meaning = MEANINGS[code] ?? MEANINGS[code.split('_').slice(0, 2).join('_')];
  if (meaning === undefined) return error;
  return new AssayError(meaning.code, `database ${where}: ${meaning.message}`, { cause: error });
}

export function isBusy(error: unknown): boolean {
  return databaseCode(error)?.startsWith('SQLITE_BUSY') === true;
}

/** Whether a write failed because a row with that primary or unique key exists. */
export function isUniqueViolation(error: unknown): boolean {
  const code = databaseCode(error);
  return code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY' || code === '23505';
}

/** Whether a write failed because a row that it refers to does not exist, or a row is still referred to. */
export function isForeignKeyViolation(error: unknown): boolean {
  const code = databaseCode(error);
  return code === 'SQLITE_CONSTRAINT_FOREIGNKEY' || code === '23503';
}
