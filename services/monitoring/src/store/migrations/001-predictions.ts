import type { Migration } from '@assay/database';

export const predictionsMigration: Migration = {
  name: '001-predictions',
  async up(db) {
    await db.schema
      .createTable('spool')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('at', 'bigint', (c) => c.notNull())
      .addColumn('endpoint_id', 'text', (c) => c.notNull())
      .addColumn('endpoint_name', 'text', (c) => c.notNull())
      .addColumn('size_bytes', 'bigint', (c) => c.notNull())
      .addColumn('file', 'text')
      .addColumn('entry', 'text', (c) => c.notNull())
      .execute();
    await db.schema.createIndex('spool_by_time').on('spool').columns(['at', 'id']).execute();
    await db.schema.createIndex('spool_by_file').on('spool').columns(['file', 'id']).execute();
    await db.schema
      .createTable('seen')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('seen_at', 'bigint', (c) => c.notNull())
      .addColumn('file', 'text')
      .execute();
    await db.schema.createIndex('seen_by_time').on('seen').columns(['seen_at']).execute();
    await db.schema
      .createTable('prediction_file')
      .addColumn('key', 'text', (c) => c.primaryKey())
      .addColumn('state', 'text', (c) => c.notNull())
      .addColumn('day', 'text', (c) => c.notNull())
      .addColumn('endpoint_id', 'text', (c) => c.notNull())
      .addColumn('endpoint_name', 'text', (c) => c.notNull())
      .addColumn('from_at', 'bigint', (c) => c.notNull())
      .addColumn('to_at', 'bigint', (c) => c.notNull())
      .addColumn('first_id', 'text', (c) => c.notNull())
      .addColumn('last_id', 'text', (c) => c.notNull())
      .addColumn('rows', 'bigint', (c) => c.notNull())
      .addColumn('size_bytes', 'bigint', (c) => c.notNull())
      .execute();
    await db.schema.createIndex('prediction_file_by_time').on('prediction_file').columns(['to_at']).execute();
    await db.schema.createIndex('prediction_file_by_day').on('prediction_file').columns(['day']).execute();
  },
};
