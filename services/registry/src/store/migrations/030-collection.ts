import type { AnyTables, Migration } from '@assay/database';
import { type Kysely, sql } from 'kysely';

/** Deleting what could not be deleted before, until when it can be restored, and the garbage collector's own tables. */
export const collectionMigration: Migration = {
  name: '030-collection',
  async up(db) {
    await indexDeleted(db, 'models');
    await indexDeleted(db, 'versions');

    await db.schema
      .alterTable('datasets')
      .addColumn('latest_version', 'bigint', (c) => c.notNull().defaultTo(0))
      .execute();
    await db.schema
      .alterTable('datasets')
      .addColumn('revision', 'bigint', (c) => c.notNull().defaultTo(0))
      .execute();
    await db
      .updateTable('datasets')
      .set((eb) => ({ latest_version: eb.ref('last_version'), revision: eb.ref('last_version') }))
      .execute();
    await db.schema.alterTable('datasets').addColumn('deleted_at', 'bigint').execute();
    await db.schema.alterTable('dataset_versions').addColumn('deleted_at', 'bigint').execute();
    await db.schema
      .alterTable('dataset_versions')
      .addColumn('revision', 'bigint', (c) => c.notNull().defaultTo(1))
      .execute();
    await indexDeleted(db, 'dataset_versions');

    // What was deleted before its time was kept is as if it were deleted now.
    const now = Date.now();
    for (const table of ['mlflow_runs', 'mlflow_experiments']) {
      await db.schema.alterTable(table).addColumn('deleted_at', 'bigint').execute();
      await db.updateTable(table).set({ deleted_at: now }).where('lifecycle', '=', 'deleted').execute();
      await indexDeleted(db, table);
    }
    await indexDeleted(db, 'mlflow_logged_models');

    await db.schema
      .createTable('blob_claims')
      .addColumn('blob_key', 'text', (c) => c.notNull())
      .addColumn('claim_id', 'text', (c) => c.notNull())
      .addColumn('until_ms', 'bigint', (c) => c.notNull())
      .addColumn('is_named', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('blob_claims_by_key', ['blob_key', 'claim_id'])
      .execute();
    await db.schema.createIndex('blob_claims_by_claim').on('blob_claims').columns(['claim_id', 'blob_key']).execute();
    await db.schema
      .createTable('condemned_blobs')
      .addColumn('blob_key', 'text', (c) => c.primaryKey())
      .addColumn('size_bytes', 'bigint', (c) => c.notNull())
      .addColumn('run_id', 'text', (c) => c.notNull())
      .addColumn('settled_at', 'bigint', (c) => c.notNull())
      .execute();
    await db.schema
      .createTable('collector')
      .addColumn('singleton', 'integer', (c) => c.primaryKey())
      .addColumn('owner', 'text')
      .addColumn('until_ms', 'bigint', (c) => c.notNull())
      .addColumn('ended_at', 'bigint', (c) => c.notNull())
      .execute();
    await db.insertInto('collector').values({ singleton: 1, owner: null, until_ms: 0, ended_at: 0 }).execute();
  },
};

/** Of what is deleted alone: SQLite would find all that is not by an index of both, rather than by the one that is meant. */
async function indexDeleted(db: Kysely<AnyTables>, table: string): Promise<void> {
  await db.schema
    .createIndex(`${table}_by_deletion`)
    .on(table)
    .column('deleted_at')
    .where(sql.ref('deleted_at'), 'is not', null)
    .execute();
}
