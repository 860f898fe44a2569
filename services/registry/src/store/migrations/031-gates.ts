/** Gates of models, approvals of versions, and what was checked of a version when it was registered. */
import type { Migration } from '@assay/database';

export const gatesMigration: Migration = {
  name: '031-gates',
  async up(db) {
    await db.schema
      .createTable('model_gates')
      .addColumn('model_id', 'text', (c) => c.primaryKey().references('models.id'))
      .addColumn('gates', 'text', (c) => c.notNull())
      .addColumn('revision', 'bigint', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .addColumn('updated_by', 'text', (c) => c.notNull())
      .execute();
    await db.schema
      .createTable('version_approvals')
      .addColumn('version_id', 'text', (c) => c.notNull().references('versions.id'))
      .addColumn('principal', 'text', (c) => c.notNull())
      .addColumn('comment', 'text', (c) => c.notNull())
      .addColumn('at', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('version_approvals_key', ['version_id', 'principal'])
      .execute();
    await db.schema
      .createTable('version_checks')
      .addColumn('version_id', 'text', (c) => c.primaryKey().references('versions.id'))
      .addColumn('checks', 'text', (c) => c.notNull())
      .execute();
    await db.schema
      .createIndex('shadow_reports_by_version')
      .on('shadow_reports')
      .columns(['version_id', 'primary_version_id'])
      .execute();
  },
};
