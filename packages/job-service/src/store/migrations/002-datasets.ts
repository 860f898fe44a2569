import type { Migration } from '@assay/database';

export const datasetsMigration: Migration = {
  name: '002-datasets',
  async up(db) {
    await db.schema.alterTable('jobs').addColumn('dataset', 'text').execute();
  },
};
