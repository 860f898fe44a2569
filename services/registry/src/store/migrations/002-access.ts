import type { Migration } from '@assay/database';

export const accessMigration: Migration = {
  name: '002-access',
  async up(db) {
    await db.schema
      .createTable('principals')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('name', 'text', (c) => c.notNull().unique())
      .addColumn('kind', 'text', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('created_by', 'text', (c) => c.notNull())
      .execute();

    await db.schema
      .createTable('api_keys')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('principal_id', 'text', (c) => c.notNull().references('principals.id'))
      .addColumn('secret_sha256', 'text', (c) => c.notNull())
      .addColumn('scopes', 'text', (c) => c.notNull())
      .addColumn('endpoints', 'text')
      .addColumn('description', 'text', (c) => c.notNull())
      .addColumn('bootstrap', 'text')
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('created_by', 'text', (c) => c.notNull())
      .addColumn('revoked_at', 'bigint')
      .addColumn('revoked_by', 'text')
      .execute();
    await db.schema.createIndex('api_keys_by_principal').on('api_keys').columns(['principal_id', 'id']).execute();

    await db.schema
      .createTable('key_snapshot')
      .addColumn('singleton', 'integer', (c) => c.primaryKey())
      .addColumn('revision', 'bigint', (c) => c.notNull())
      .execute();
    await db.insertInto('key_snapshot').values({ singleton: 1, revision: 0 }).execute();
  },
};
