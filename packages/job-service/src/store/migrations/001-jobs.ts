import type { Migration } from '@assay/database';

/** @param version whether jobs score with a version, which is then resolved when they first start */
export function jobsMigration({ version }: { readonly version: boolean }): Migration {
  return {
    name: '001-jobs',
    async up(db) {
      const table = db.schema
        .createTable('jobs')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('idempotency_key', 'text', (c) => c.unique())
        .addColumn('spec', 'text', (c) => c.notNull())
        .addColumn('base_dir', 'text', (c) => c.notNull())
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
        .addColumn('ended_at', 'bigint');
      await (version ? table.addColumn('version', 'text') : table).execute();
      await db.schema.createIndex('jobs_by_state').on('jobs').columns(['state', 'id']).execute();
    },
  };
}
