import type { Migration } from '@assay/database';

export const checkpointsMigration: Migration = {
  name: '003-checkpoints',
  async up(db) {
    await db.schema
      .createTable('job_checkpoints')
      .addColumn('job_id', 'text', (c) => c.notNull().references('jobs.id'))
      .addColumn('number', 'bigint', (c) => c.notNull())
      .addColumn('entry', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('job_checkpoints_key', ['job_id', 'number'])
      .execute();
  },
};
