import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '@assay/database';
import { type Postgres, startPostgres } from '@assay/database/testing';
import { type ControlledTransaction, sql, type Transaction } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newEvent, startOutboxPublisher, writeOutbox } from './index.ts';
import { describeOutbox } from './testing/outbox-suite.ts';
import { type OutboxTestTables, outboxTestMigrations } from './testing/outbox-suite-tables.ts';

let server: Postgres;
let schemas = 0;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

describeOutbox('an SQLite file', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-outbox-'));
  return { url: `sqlite:${join(dir, 'test.sqlite')}`, cleanup: () => rm(dir, { recursive: true }) };
});

describeOutbox('PostgreSQL', async () => ({
  url: server.url(`outbox_${++schemas}`),
  cleanup: async () => undefined, // the server is removed with all its schemas
}));

it('the order of the commits holds on PostgreSQL also between transactions that do not wait for each other', async () => {
  const schema = `outbox_${++schemas}`;
  await using database = await openDatabase<OutboxTestTables>(server.url(schema), { migrations: outboxTestMigrations });
  // Transactions of PostgreSQL itself, without the writers' lock of @assay/database.
  const raw = await server.openRaw<OutboxTestTables>(schema);
  const published: number[] = [];
  const publisher = startOutboxPublisher({
    database,
    bus: { publish: async (_, events) => void published.push(...events.map(({ sequence }) => sequence)) },
    log: { warn: () => undefined },
    pollMs: 5,
  });
  const event = (sequence: number) =>
    newEvent({ source: '/assay/test', type: 'assay.test.v1', subject: 'a', sequence, data: null });
  // Kysely's type of a transaction is the same but for the savepoints.
  const write = (trx: ControlledTransaction<OutboxTestTables>, events: Parameters<typeof writeOutbox>[2]) =>
    writeOutbox(trx as unknown as Transaction<OutboxTestTables>, 't', events);
  try {
    const first = await raw.startTransaction().execute();
    await first.insertInto('model').values({ id: 'first', revision: 1 }).execute();
    const second = await raw.startTransaction().execute();
    await write(second, [event(1)]);
    await second.commit().execute(); // begun last, committed first
    await expect.poll(() => published, { timeout: 20_000, interval: 5 }).toEqual([1]);
    await write(first, [event(2)]);

    const third = await raw.startTransaction().execute();
    let isWritten = false;
    const written = write(third, [event(3)]).then(() => {
      isWritten = true;
    });
    const waiting = async () => {
      const count = sql<{ n: number }>`select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock'`;
      return (await count.execute(raw)).rows[0]?.n;
    };
    await expect.poll(waiting, { timeout: 20_000 }).toBe(1); // no position is given out before the one below is decided
    expect(isWritten).toBe(false);
    await first.commit().execute();
    await written;
    await third.commit().execute();
    await expect.poll(() => published, { timeout: 20_000, interval: 5 }).toEqual([1, 2, 3]);
  } finally {
    await publisher.close();
    void raw.destroy(); // where this failed, a transaction is open: the server's end is also its own
  }
});
