/**
 * Migrations go forward only, in the order of the list, all that are pending in one transaction under the write lock: two
 * processes that start at once migrate once, and a crash leaves the schema before or after.
 */
import { AssayError } from '@assay/contracts';
import type { Kysely } from 'kysely';
import type { AnyTables, Migration } from './database.ts';

const TABLE = 'assay_migrations';

/** The names must be unique: a name is what is remembered. */
export function checkMigrationList(migrations: readonly Migration[]): void {
  const seen = new Set<string>();
  for (const { name } of migrations) {
    if (seen.has(name)) throw new AssayError('INTERNAL', `the migration "${name}" is listed twice`);
    seen.add(name);
  }
}

/**
 * Applies what is pending. Runs inside a transaction that its caller holds.
 * @throws AssayError FAILED_PRECONDITION when the file was written by a newer version, or by another list of migrations
 */
export async function migrate(db: Kysely<AnyTables>, migrations: readonly Migration[], where: string): Promise<void> {
  await db.schema
    .createTable(TABLE)
    .ifNotExists()
    .addColumn('position', 'bigint', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('applied_at_ms', 'bigint', (column) => column.notNull())
    .execute();
  const applied = await db.selectFrom(TABLE).select(['position', 'name']).orderBy('position').execute();
  for (const [position, { name }] of applied.entries()) {
    const ours = migrations[position];
    if (ours === undefined) {
      throw new AssayError(
        'FAILED_PRECONDITION',
        `database ${where}: was written by a newer version (it has the migration "${String(name)}", unknown here); ` +
          'use that version, or another data folder',
      );
    }
    if (ours.name !== name) {
      throw new AssayError(
        'FAILED_PRECONDITION',
        `database ${where}: its migration ${position + 1} is "${String(name)}" where this version has "${ours.name}"; ` +
          'it belongs to another service or version, use another file',
      );
    }
  }
  for (const [position, migration] of migrations.entries()) {
    if (position < applied.length) continue;
    await migration.up(db);
    await db.insertInto(TABLE).values({ position, name: migration.name, applied_at_ms: Date.now() }).execute();
  }
}
