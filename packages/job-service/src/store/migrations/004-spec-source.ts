import type { Migration } from '@assay/database';

export const specSourceMigration: Migration = {
  name: '004-spec-source',
  async up(db) {
    await db.schema.alterTable('jobs').addColumn('spec_source', 'text').execute();
  },
};
