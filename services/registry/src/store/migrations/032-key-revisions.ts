/** What a key may do can be changed, by compare-and-set. */
import type { Migration } from '@assay/database';

export const keyRevisionsMigration: Migration = {
  name: '032-key-revisions',
  async up(db) {
    await db.schema
      .alterTable('api_keys')
      .addColumn('revision', 'bigint', (c) => c.notNull().defaultTo(1))
      .execute();
    await db.schema.alterTable('api_keys').addColumn('updated_at', 'bigint').execute();
    await db.schema.alterTable('api_keys').addColumn('updated_by', 'text').execute();
  },
};
