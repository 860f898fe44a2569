/** Endpoints may limit what they take. */
import type { Migration } from '@assay/database';

export const endpointLimitsMigration: Migration = {
  name: '025-endpoint-limits',
  async up(db) {
    await db.schema.alterTable('endpoints').addColumn('limits', 'text').execute();
  },
};
