/** The tables of the service whose outbox is tested. */
import type { Migration } from '@assay/database';
import { outboxMigration } from '../outbox.ts';

export interface OutboxTestTables {
  model: { id: string; revision: number };
}

const MODELS: Migration = {
  name: '001-models',
  async up(db) {
    await db.schema
      .createTable('model')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('revision', 'bigint')
      .execute();
  },
};

export const outboxTestMigrations: readonly Migration[] = [MODELS, outboxMigration];
