import { GENESIS_HASH } from '@assay/contracts';
import type { Migration } from '@assay/database';

export const registryMigration: Migration = {
  name: '001-registry',
  async up(db) {
    await db.schema
      .createTable('models')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('name', 'text', (c) => c.notNull().unique())
      .addColumn('description', 'text', (c) => c.notNull())
      .addColumn('revision', 'bigint', (c) => c.notNull())
      .addColumn('last_version', 'bigint', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .execute();

    await db.schema
      .createTable('versions')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('model_id', 'text', (c) => c.notNull().references('models.id'))
      .addColumn('version', 'bigint', (c) => c.notNull())
      .addColumn('digest', 'text', (c) => c.notNull())
      .addColumn('files', 'text', (c) => c.notNull())
      .addColumn('signature', 'text', (c) => c.notNull())
      .addColumn('metrics', 'text', (c) => c.notNull())
      .addColumn('description', 'text', (c) => c.notNull())
      .addColumn('tags', 'text', (c) => c.notNull())
      .addColumn('idempotency_key', 'text')
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('created_by', 'text', (c) => c.notNull())
      .addUniqueConstraint('versions_by_number', ['model_id', 'version'])
      .addUniqueConstraint('versions_by_idempotency_key', ['model_id', 'idempotency_key'])
      .execute();

    await db.schema
      .createTable('aliases')
      .addColumn('model_id', 'text', (c) => c.notNull().references('models.id'))
      .addColumn('alias', 'text', (c) => c.notNull())
      .addColumn('version_id', 'text', (c) => c.references('versions.id'))
      .addColumn('revision', 'bigint', (c) => c.notNull())
      .addColumn('moved_at', 'bigint', (c) => c.notNull())
      .addColumn('moved_by', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('aliases_by_name', ['model_id', 'alias'])
      .execute();
    await db.schema.createIndex('aliases_by_version').on('aliases').column('version_id').execute();

    await db.schema
      .createTable('endpoints')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('contract', 'text', (c) => c.notNull())
      .addColumn('variants', 'text', (c) => c.notNull())
      .addColumn('follow_model_id', 'text', (c) => c.references('models.id'))
      .addColumn('follow_alias', 'text')
      .addColumn('salt', 'text', (c) => c.notNull())
      .addColumn('default_timeout_ms', 'bigint', (c) => c.notNull())
      .addColumn('revision', 'bigint', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .addColumn('updated_by', 'text', (c) => c.notNull())
      .addColumn('deleted_at', 'bigint')
      .addUniqueConstraint('endpoints_by_name_and_revision', ['name', 'revision'])
      .execute();
    await db.schema
      .createIndex('endpoints_by_follow')
      .on('endpoints')
      .columns(['follow_model_id', 'follow_alias'])
      .execute();

    await db.schema
      .createTable('routing')
      .addColumn('singleton', 'integer', (c) => c.primaryKey())
      .addColumn('revision', 'bigint', (c) => c.notNull())
      .execute();

    await db.schema
      .createTable('audit')
      .addColumn('sequence', 'bigint', (c) => c.primaryKey())
      .addColumn('id', 'text', (c) => c.notNull().unique())
      .addColumn('at', 'bigint', (c) => c.notNull())
      .addColumn('principal', 'text', (c) => c.notNull())
      .addColumn('action', 'text', (c) => c.notNull())
      .addColumn('resource', 'text', (c) => c.notNull())
      .addColumn('request_id', 'text', (c) => c.notNull())
      .addColumn('details_sha256', 'text', (c) => c.notNull())
      .addColumn('previous_hash', 'text', (c) => c.notNull())
      .addColumn('hash', 'text', (c) => c.notNull())
      .addColumn('details', 'text')
      .execute();
    await db.schema.createIndex('audit_by_resource').on('audit').columns(['resource', 'sequence']).execute();

    await db.schema
      .createTable('audit_head')
      .addColumn('singleton', 'integer', (c) => c.primaryKey())
      .addColumn('sequence', 'bigint', (c) => c.notNull())
      .addColumn('hash', 'text', (c) => c.notNull())
      .execute();

    await db.insertInto('routing').values({ singleton: 1, revision: 0 }).execute();
    await db.insertInto('audit_head').values({ singleton: 1, sequence: 0, hash: GENESIS_HASH }).execute();
  },
};
