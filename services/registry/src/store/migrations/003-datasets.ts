import type { Migration } from '@assay/database';

export const datasetsMigration: Migration = {
  name: '003-datasets',
  async up(db) {
    await db.schema
      .createTable('datasets')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('name', 'text', (c) => c.notNull().unique())
      .addColumn('last_version', 'bigint', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .execute();

    await db.schema
      .createTable('dataset_versions')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('dataset_id', 'text', (c) => c.notNull().references('datasets.id'))
      .addColumn('version', 'bigint', (c) => c.notNull())
      .addColumn('digest', 'text', (c) => c.notNull())
      .addColumn('format', 'text', (c) => c.notNull())
      .addColumn('row_count', 'bigint', (c) => c.notNull())
      .addColumn('file_count', 'bigint', (c) => c.notNull())
      .addColumn('column_count', 'bigint', (c) => c.notNull())
      .addColumn('size_bytes', 'bigint', (c) => c.notNull())
      .addColumn('files', 'text', (c) => c.notNull())
      .addColumn('columns', 'text', (c) => c.notNull())
      .addColumn('profile', 'text')
      .addColumn('about', 'text', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('created_by', 'text', (c) => c.notNull())
      .addUniqueConstraint('dataset_versions_by_number', ['dataset_id', 'version'])
      .execute();

    await db.schema
      .createTable('dataset_version_keys')
      .addColumn('dataset_id', 'text', (c) => c.notNull().references('datasets.id'))
      .addColumn('idempotency_key', 'text', (c) => c.notNull())
      .addColumn('version_id', 'text', (c) => c.notNull().references('dataset_versions.id'))
      .addPrimaryKeyConstraint('dataset_version_keys_by_key', ['dataset_id', 'idempotency_key'])
      .execute();
  },
};
