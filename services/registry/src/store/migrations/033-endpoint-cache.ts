/** Endpoints may let answers be used again. */
import type { Migration } from '@assay/database';

export const endpointCacheMigration: Migration = {
  name: '033-endpoint-cache',
  async up(db) {
    await db.schema.alterTable('endpoints').addColumn('cache', 'text').execute();
  },
};
