/**
 * Restores a backup into a database and a blob store, which may be of another kind than those that it came from. Blobs come
 * first, each checked by its digest; then all rows in one transaction. Killed before its end it leaves an empty database,
 * and can be run again.
 */
import { openBlobStore } from '@assay/blobs';
import { AssayError, type AuditVerification } from '@assay/contracts';
import { type Database, type Migration, openDatabase } from '@assay/database';
import { sql } from 'kysely';
import { openRegistryDatabase, REGISTRY_MIGRATIONS } from '../service.ts';
import { verifyAudit } from '../store/audit.ts';
import { readLines } from './lines.ts';
import { type BackupManifest, pathsIn, readManifest } from './manifest.ts';
import { copyBlobs, type RegistryPlaces, readBlobList } from './write-backup.ts';

type AnyTables = Record<string, Record<string, unknown>>;

const INSERT_ROWS = 200;

export interface Restored {
  readonly manifest: BackupManifest;
  /** Of the chain as it is now. */
  readonly audit: AuditVerification;
}

/**
 * @throws AssayError NOT_FOUND (no whole backup), INVALID_ARGUMENT (damaged), ALREADY_EXISTS (the target holds something),
 *   FAILED_PRECONDITION (of a newer version)
 */
export async function restoreBackup(dir: string, places: RegistryPlaces, signal: AbortSignal): Promise<Restored> {
  const manifest = await readManifest(dir);
  const migrations = migrationsOf(manifest);
  {
    // In the schema that the rows have; what came after is applied to them when the registry's own is opened below.
    await using database = await openDatabase<AnyTables>(places.databaseUrl, { migrations, signal });
    await using fresh = await openDatabase<AnyTables>('sqlite::memory:', { migrations });
    const tables = await tablesInOrder(fresh);
    checkTables(manifest, tables);
    await refuseUnlessEmpty(database, fresh, tables);

    const from = await openBlobStore(pathsIn(dir).blobsUrl);
    const list = readBlobList(dir, manifest.blobs.sha256);
    const { missing } = await copyBlobs(from, places.blobs, list, signal);
    if (missing !== undefined)
      throw new AssayError('INVALID_ARGUMENT', `the blob ${missing} is missing; the backup is damaged`);

    await database.transaction(
      async (trx) => {
        await refuseUnlessEmpty({ db: trx }, fresh, tables); // again: now nobody else writes
        for (const table of tables.toReversed()) await trx.deleteFrom(table).execute();
        for (const table of tables) await insertRows(trx, dir, manifest, table, signal);
      },
      { signal },
    );
  }
  await using restored = await openRegistryDatabase(places.databaseUrl);
  const audit = await verifyAudit(restored.db, signal);
  if (audit.headHash !== manifest.audit.headHash) {
    throw new AssayError('INTERNAL', 'the restored audit chain ends elsewhere than the manifest says');
  }
  return { manifest, audit };
}

function migrationsOf(manifest: BackupManifest): readonly Migration[] {
  const ours = REGISTRY_MIGRATIONS.slice(0, manifest.migrations.length);
  const stranger = manifest.migrations.find((name, position) => ours[position]?.name !== name);
  if (stranger === undefined) return ours;
  throw new AssayError(
    'FAILED_PRECONDITION',
    `the backup was made by Assay ${manifest.assayVersion}, whose schema has "${stranger}", unknown here; restore it with that version`,
  );
}

/** In the order in which they were made: a table comes after those that it refers to. */
async function tablesInOrder(fresh: Database<AnyTables>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select name from sqlite_master where type = 'table' and name <> 'assay_migrations' and name not like 'sqlite%' order by rowid`.execute(
    fresh.db,
  );
  return rows.map(({ name }) => name);
}

function checkTables(manifest: BackupManifest, tables: readonly string[]): void {
  const there = manifest.tables.map(({ name }) => name);
  const wrong = [...there.filter((name) => !tables.includes(name)), ...tables.filter((name) => !there.includes(name))];
  if (wrong.length === 0) return;
  throw new AssayError('INVALID_ARGUMENT', `the backup has other tables than its schema: ${wrong.join(', ')}`);
}

/** Empty is what the migrations leave: some tables begin with a row. */
async function refuseUnlessEmpty(
  target: Pick<Database<AnyTables>, 'db'>,
  fresh: Database<AnyTables>,
  tables: readonly string[],
): Promise<void> {
  for (const table of tables) {
    const [found, expected] = [await countRows(target, table), await countRows(fresh, table)];
    if (found === expected) continue;
    throw new AssayError(
      'ALREADY_EXISTS',
      `the database is not empty (its table ${table} has ${found} rows); restore into an empty one`,
    );
  }
}

async function countRows({ db }: Pick<Database<AnyTables>, 'db'>, table: string): Promise<number> {
  const row = await db
    .selectFrom(table)
    .select((e) => e.fn.countAll<number>().as('rows'))
    .executeTakeFirstOrThrow();
  return Number(row.rows);
}

async function insertRows(
  trx: Database<AnyTables>['db'],
  dir: string,
  manifest: BackupManifest,
  table: string,
  signal: AbortSignal,
): Promise<void> {
  const { sha256 } = manifest.tables.find(({ name }) => name === table) ?? { sha256: '' }; // checkTables saw to it
  let rows: Record<string, unknown>[] = [];
  const flush = async (): Promise<void> => {
    signal.throwIfAborted();
    if (rows.length > 0) await trx.insertInto(table).values(rows).execute();
    rows = [];
  };
  for await (const line of readLines(pathsIn(dir).table(table), sha256)) {
    rows.push(line as Record<string, unknown>); // by its digest it is the row that was written, or all is undone
    if (rows.length >= INSERT_ROWS) await flush();
  }
  await flush();
}
