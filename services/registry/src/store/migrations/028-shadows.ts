/** Endpoints may have shadows; what they were compared to be is reported by each replica that did. */
import type { Migration } from '@assay/database';

export const shadowsMigration: Migration = {
  name: '028-shadows',
  async up(db) {
    await db.schema.alterTable('endpoints').addColumn('shadows', 'text').execute();
    await db.schema
      .createTable('shadow_reports')
      .addColumn('endpoint_id', 'text', (c) => c.notNull())
      .addColumn('version_id', 'text', (c) => c.notNull())
      .addColumn('primary_version_id', 'text', (c) => c.notNull())
      .addColumn('replica', 'text', (c) => c.notNull())
      .addColumn('sequence', 'bigint', (c) => c.notNull())
      .addColumn('counted', 'text', (c) => c.notNull())
      .addColumn('reported_at', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('shadow_reports_by_endpoint', [
        'endpoint_id',
        'version_id',
        'primary_version_id',
        'replica',
      ])
      .execute();
  },
};
