/** However long the log of deliveries is, what is due and what is shown of it is found by an index. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { walksOf } from '@assay/database/query-plans';
import { expect, it } from 'vitest';
import { databaseUrlIn, openRegistryDatabase } from '../service.ts';
import type { Queryable } from './tables.ts';
import { listDeliveries } from './webhook-deliveries.ts';
import { insertDelivery } from './webhook-queue.ts';
import { dueWebhooks, markDelivery, type Outcome, purgeDeliveries, waitingDeliveries } from './webhook-sending.ts';
import { countPending } from './webhooks.ts';

const outcome: Outcome = {
  ...{ state: 'delivered', attempts: 1, first_attempt_at: 1, last_attempt_at: 1, next_attempt_at: 1 },
  ...{ duration_ms: 1, status: 200, error: null, response: null },
};

const ASKED: Readonly<Record<string, (db: Queryable) => Promise<unknown>>> = {
  'what is due': (db) => dueWebhooks(db, 10, { busy: new Set(), maxWebhooks: 8 }),
  'what waits, for the metrics': (db) => waitingDeliveries(db, 10),
  'how many wait': (db) => countPending(db, 'whk_1'),
  'a mark': (db) => markDelivery(db, 'whd_1', outcome),
  'the log': (db) => listDeliveries(db, 'whk_1', { before: 5, limit: 10 }),
  'the log of what waits': (db) => listDeliveries(db, 'whk_1', { before: 5, limit: 10, state: 'pending' }),
  'what is old': (db) => purgeDeliveries(db, 10),
};

it.each(Object.entries(ASKED))('%s', async (_, ask) => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-webhook-plans-'));
  try {
    await using database = await openRegistryDatabase(databaseUrlIn(dir));
    await insertWebhook(database.db);
    const walks = await walksOf(database, ask);
    // There are a hundred webhooks at most.
    expect(walks.filter((walk) => !/^SCAN webhooks\b/.test(walk))).toEqual([]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

async function insertWebhook(db: Queryable): Promise<void> {
  const row = {
    ...{ id: 'whk_1', url: 'https://example.com/', events: '[]', models: '[]', description: '', secret: '' },
    ...{ former_secret: null, former_until: null, is_enabled: 1, disabled_reason: null, revision: 1 },
    ...{ created_at: 1, created_by: 'ada', updated_at: 1, updated_by: 'ada' },
  };
  await db.insertInto('webhooks').values(row).execute();
  const message = { orderKey: 'mdl_1', eventId: 'evt_1', eventType: 't', subject: 'mdl_1', body: '{}' };
  await insertDelivery(db, 'whk_1', message, 1);
}
