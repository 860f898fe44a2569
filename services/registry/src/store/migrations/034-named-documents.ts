/** Pipelines and training specs. */
import type { Migration } from '@assay/database';

export const namedDocumentsMigration: Migration = {
  name: '034-named-documents',
  async up(db) {
    await db.schema
      .createTable('named_documents')
      .addColumn('kind', 'text', (c) => c.notNull())
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('content', 'text')
      .addColumn('revision', 'bigint', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .addColumn('updated_by', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('named_documents_key', ['kind', 'name'])
      .execute();
  },
};
