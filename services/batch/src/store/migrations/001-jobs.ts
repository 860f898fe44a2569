import type { Migration } from '@assay/database';

export const jobsMigration: Migration = {
  name: '001-jobs',
  async up(db) {
    await db.schema
      .createTable('jobs')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('idempotency_key', 'text', (c) => c.unique())
      .addColumn('spec', 'text', (c) => c.notNull())
      .addColumn('base_dir', 'text', (c) => c.notNull())
      .addColumn('version', 'text')
      .addColumn('state', 'text', (c) => c.notNull())
      .addColumn('attempts', 'bigint', (c) => c.notNull())
      .addColumn('cancel_requested', 'bigint', (c) => c.notNull())
      .addColumn('failure', 'text')
      .addColumn('progress', 'text')
      .addColumn('result', 'text')
      .addColumn('reported_failure', 'text')
      .addColumn('token_sha256', 'text')
      .addColumn('revision', 'bigint', (c) => c.notNull())
      .addColumn('lifecycle_revision', 'bigint', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('started_at', 'bigint')
      .addColumn('ended_at', 'bigint')
      .execute();
    await db.schema.createIndex('jobs_by_state').on('jobs').columns(['state', 'id']).execute();
  },
};
