/** The trace of the request that made a job. */
import type { Migration } from '@assay/database';

export const traceMigration: Migration = {
  name: '005-trace',
  async up(db) {
    await db.schema.alterTable('jobs').addColumn('traceparent', 'text').execute();
    await db.schema.alterTable('jobs').addColumn('tracestate', 'text').execute();
  },
};
