import type { Migration } from '@assay/database';

/** Each filter of the trail has an index that ends in the sequence, by which it is paged. */
export const auditMigration: Migration = {
  name: '021-audit',
  async up(db) {
    await db.schema.createIndex('audit_by_principal').on('audit').columns(['principal', 'sequence']).execute();
    await db.schema.createIndex('audit_by_action').on('audit').columns(['action', 'sequence']).execute();
    await db.schema.createIndex('audit_by_time').on('audit').columns(['at', 'sequence']).execute();
  },
};
