import type { Migration } from '@assay/database';
import { sql } from 'kysely';

/**
 * Versions by their age, all of them and those with a tag, so that the newest are found without reading the others; and
 * the newest of each stage without reading what versions hold.
 */
export const scaleMigration: Migration = {
  name: '029-scale',
  async up(db) {
    await db.schema
      .createIndex('versions_by_time')
      .on('versions')
      .column('created_at')
      .where(sql.ref('deleted_at'), 'is', null)
      .execute();
    await db.schema
      .createIndex('versions_by_stage')
      .on('versions')
      .columns(['model_id', 'stage', 'version'])
      .where(sql.ref('deleted_at'), 'is', null)
      .execute();
    await db.schema
      .alterTable('version_tags')
      .addColumn('created_at', 'bigint', (c) => c.notNull().defaultTo(0))
      .execute();
    await db
      .updateTable('version_tags')
      .set((eb) => ({
        created_at: eb
          .selectFrom('versions')
          .select('versions.created_at')
          .whereRef('versions.id', '=', 'version_tags.version_id'),
      }))
      .execute();
    await db.schema
      .createIndex('version_tags_by_value')
      .on('version_tags')
      .column('key')
      .expression(sql`substr(value, 1, 200)`) // PostgreSQL indexes no text of any length
      .column('created_at')
      .execute();
  },
};
