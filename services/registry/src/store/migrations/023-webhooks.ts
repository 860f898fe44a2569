import type { Migration } from '@assay/database';

export const webhooksMigration: Migration = {
  name: '023-webhooks',
  async up(db) {
    await db.schema
      .createTable('webhooks')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('url', 'text', (c) => c.notNull())
      .addColumn('events', 'text', (c) => c.notNull())
      .addColumn('models', 'text', (c) => c.notNull())
      .addColumn('description', 'text', (c) => c.notNull())
      .addColumn('secret', 'text', (c) => c.notNull())
      .addColumn('former_secret', 'text')
      .addColumn('former_until', 'bigint')
      .addColumn('is_enabled', 'bigint', (c) => c.notNull())
      .addColumn('disabled_reason', 'text')
      .addColumn('revision', 'bigint', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('created_by', 'text', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .addColumn('updated_by', 'text', (c) => c.notNull())
      .execute();

    await db.schema
      .createTable('webhook_deliveries')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('webhook_id', 'text', (c) => c.notNull().references('webhooks.id'))
      .addColumn('position', 'bigint', (c) => c.notNull().unique())
      .addColumn('order_key', 'text', (c) => c.notNull())
      .addColumn('event_id', 'text', (c) => c.notNull())
      .addColumn('event_type', 'text', (c) => c.notNull())
      .addColumn('subject', 'text', (c) => c.notNull())
      .addColumn('body', 'text', (c) => c.notNull())
      .addColumn('state', 'text', (c) => c.notNull())
      .addColumn('attempts', 'bigint', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('first_attempt_at', 'bigint')
      .addColumn('last_attempt_at', 'bigint')
      .addColumn('next_attempt_at', 'bigint', (c) => c.notNull())
      .addColumn('duration_ms', 'bigint')
      .addColumn('status', 'bigint')
      .addColumn('error', 'text')
      .addColumn('response', 'text')
      .addColumn('replay_of', 'text')
      .execute();
    await db.schema
      .createIndex('webhook_deliveries_by_state')
      .on('webhook_deliveries')
      .columns(['webhook_id', 'state', 'position'])
      .execute();
    await db.schema
      .createIndex('webhook_deliveries_by_webhook')
      .on('webhook_deliveries')
      .columns(['webhook_id', 'position'])
      .execute();
    await db.schema
      .createIndex('webhook_deliveries_by_age')
      .on('webhook_deliveries')
      .columns(['state', 'created_at'])
      .execute();

    // One row each. The counter is written under the lock of its transaction, so that positions are in the order of commits.
    await db.schema
      .createTable('webhook_counter')
      .addColumn('singleton', 'integer', (c) => c.primaryKey())
      .addColumn('next_position', 'bigint', (c) => c.notNull())
      .execute();
    await db.schema
      .createTable('webhook_lease')
      .addColumn('singleton', 'integer', (c) => c.primaryKey())
      .addColumn('owner', 'text')
      .addColumn('until_ms', 'bigint', (c) => c.notNull())
      .execute();
    await db.insertInto('webhook_counter').values({ singleton: 1, next_position: 1 }).execute();
    await db.insertInto('webhook_lease').values({ singleton: 1, owner: null, until_ms: 0 }).execute();
  },
};
