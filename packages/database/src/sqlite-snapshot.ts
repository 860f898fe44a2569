/** A snapshot of an SQLite file: a read transaction on a connection of its own, which write-ahead logging keeps steady. */
import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import BetterSqlite3 from 'better-sqlite3';
import { mapDatabaseError } from './errors.ts';
import { type DatabaseSnapshot, MIGRATIONS_TABLE, type SnapshotRow } from './snapshot.ts';

/** Reading blocks the thread; after so many rows others have their turn. */
const ROWS_A_TURN = 500;

export function openSqliteSnapshot(path: string): DatabaseSnapshot {
  if (!existsSync(path)) throw new AssayError('NOT_FOUND', `there is no database ${path}`);
  let file: BetterSqlite3.Database | undefined;
  try {
    const opened = new BetterSqlite3(path, { readonly: true });
    file = opened;
    opened.exec('BEGIN');
    // The first read is what the moment of the snapshot is.
    const names = opened
      .prepare<[], string>(
        `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY name`,
      )
      .pluck()
      .all();
    const migrations = names.includes(MIGRATIONS_TABLE)
      ? opened.prepare<[], string>(`SELECT name FROM ${MIGRATIONS_TABLE} ORDER BY position`).pluck().all()
      : [];
    return {
      migrations,
      tables: names.filter((name) => name !== MIGRATIONS_TABLE),
      async *rows(table) {
        try {
          let count = 0;
          for (const row of opened.prepare<[], SnapshotRow>(`SELECT * FROM "${table}"`).iterate()) {
            yield row;
            count += 1;
            if (count % ROWS_A_TURN === 0) await setImmediate();
          }
        } catch (error) {
          throw mapDatabaseError(error, path);
        }
      },
      async [Symbol.asyncDispose]() {
        opened.close();
      },
    };
  } catch (error) {
    file?.close();
    throw mapDatabaseError(error, path);
  }
}
