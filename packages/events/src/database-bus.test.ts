import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Event } from '@assay/contracts';
import { openDatabase } from '@assay/database';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeEventBus } from './conformance.ts';
import { type EventLogTables, eventLogMigration } from './event-log.ts';
import { type DatabaseEventBusOptions, type EventBus, newEvent, openDatabaseEventBus } from './index.ts';

const silent = { warn: () => undefined, error: () => undefined };
const WAIT_MS = 20_000;

describeEventBus('an SQLite file', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-events-'));
  return {
    connect: () => openDatabaseEventBus({ url: `sqlite:${join(dir, 'events.sqlite')}`, log: silent, pollMs: 20 }),
    cleanup: () => rm(dir, { recursive: true }),
  };
});

describe('the event log in a database', () => {
  const topic = 'assay.test.v1';
  let dir: string;
  let url: string;
  let opened: { close(): Promise<void> }[] = [];
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'assay-events-'));
    url = `sqlite:${join(dir, 'events.sqlite')}`;
    opened = [];
  });
  afterEach(async () => {
    for (const each of opened) await each.close();
    await rm(dir, { recursive: true });
  });

  async function open(options: Partial<DatabaseEventBusOptions> = {}): Promise<EventBus> {
    const bus = await openDatabaseEventBus({ url, log: silent, pollMs: 20, ...options });
    opened.push(bus);
    return bus;
  }

  async function openLog() {
    const database = await openDatabase<EventLogTables>(url, { migrations: [eventLogMigration] });
    opened.push(database);
    return database.db;
  }

  const events = (count: number, from = 0): Event[] =>
    Array.from({ length: count }, (_, i) =>
      newEvent({ source: '/assay/test', type: 'assay.test.v1', subject: 'a', sequence: from + i, data: null }),
    );

  async function collect(bus: EventBus, group: string): Promise<number[]> {
    const seen: number[] = [];
    await bus.subscribe({ topics: [topic], delivery: { group }, from: 'earliest' }, async ({ sequence }) => {
      seen.push(sequence);
    });
    return seen;
  }

  it('wakes subscribers of its own process without waiting for a poll', async () => {
    const bus = await open({ pollMs: 2 ** 30 });
    const seen = await collect(bus, 'g');
    await bus.publish(topic, events(1));
    await expect.poll(() => seen, { timeout: WAIT_MS }).toEqual([0]);
  });

  it('gives an event to one member, when the same commit wakes several', async () => {
    const bus = await open({ pollMs: 2 ** 30 });
    const members = [await collect(bus, 'g'), await collect(bus, 'g'), await collect(bus, 'g')];
    for (let sequence = 0; sequence < 20; sequence++) {
      await bus.publish(topic, events(1, sequence));
      await expect.poll(() => members.flat().length, { timeout: WAIT_MS, interval: 1 }).toBe(sequence + 1);
    }
    expect(members.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('keeps no more events than its retention says, and tells who missed some', async () => {
    const complaints: unknown[] = [];
    const log = { ...silent, error: (fields: unknown) => complaints.push(fields) };
    const bus = await open({ retention: { maxEvents: 100 }, log });
    const slow = await bus.subscribe(
      { topics: [topic], delivery: { group: 'slow' }, from: 'earliest' },
      async () => undefined,
    );
    await slow.close();
    await bus.publish(topic, events(2500));
    const db = await openLog();
    const { kept } = await db
      .selectFrom('event_log')
      .select((e) => e.fn.countAll<number>().as('kept'))
      .executeTakeFirstOrThrow();
    expect(kept).toBe(100);
    const seen = await collect(bus, 'slow');
    await expect.poll(() => seen, { timeout: WAIT_MS }).toEqual(Array.from({ length: 100 }, (_, i) => 2400 + i));
    expect(complaints).toEqual([expect.objectContaining({ subscriber: 'slow', dropped: 2400 })]);
    expect((await collect(bus, 'new')).length).toBeLessThanOrEqual(100); // what is new missed nothing
    expect(complaints).toHaveLength(1);
  });

  it('drops at its start what is too old', async () => {
    const bus = await open();
    await bus.publish(topic, events(3));
    const db = await openLog();
    await db.updateTable('event_log').set({ published_at_ms: 1 }).where('position', '<', 2).execute();
    await open();
    expect(await db.selectFrom('event_log').select('position').execute()).toEqual([{ position: 2 }]);
  });

  it('takes over from a member that died at work, when its lease has run out', async () => {
    const bus = await open();
    await bus.publish(topic, events(3));
    const db = await openLog();
    const dead = { group_name: 'g', topic, next_position: 1, lease_owner: 'dead', lease_until_ms: Date.now() + 700 };
    await db.insertInto('event_group').values(dead).execute();
    const seen = await collect(bus, 'g');
    await expect.poll(() => seen, { timeout: WAIT_MS }).toEqual([1, 2]);
    expect(Date.now()).toBeGreaterThanOrEqual(dead.lease_until_ms);
  });

  it('keeps its lease while a handler works for longer than that', async () => {
    const [one, two] = [await open({ leaseMs: 2000 }), await open({ leaseMs: 2000 })];
    const end = Promise.withResolvers<void>();
    const calls: number[] = [];
    for (const bus of [one, two]) {
      await bus.subscribe({ topics: [topic], delivery: { group: 'g' }, from: 'earliest' }, async ({ sequence }) => {
        calls.push(sequence);
        await end.promise;
      });
    }
    await one.publish(topic, events(2));
    await expect.poll(() => calls, { timeout: WAIT_MS }).toEqual([0]);
    const db = await openLog();
    const leaseUntil = async () =>
      (await db.selectFrom('event_group').select('lease_until_ms').executeTakeFirstOrThrow()).lease_until_ms;
    const untilMs = await leaseUntil();
    await expect.poll(() => Date.now(), { timeout: WAIT_MS }).toBeGreaterThan(untilMs);
    expect(await leaseUntil()).toBeGreaterThan(untilMs);
    expect(calls).toEqual([0]);
    end.resolve();
    await expect.poll(() => calls, { timeout: WAIT_MS }).toEqual([0, 1]);
  });

  it('hands over when its lease was taken away, and no position is set back', async () => {
    const bus = await open({ leaseMs: 90 });
    const started = Promise.withResolvers<void>();
    const lost = Promise.withResolvers<void>();
    await bus.subscribe({ topics: [topic], delivery: { group: 'g' }, from: 'earliest' }, async (_, { signal }) => {
      signal.addEventListener('abort', () => lost.resolve(), { once: true });
      started.resolve();
      await lost.promise;
    });
    await bus.publish(topic, events(5));
    await started.promise;
    const db = await openLog();
    const other = { lease_owner: 'other', lease_until_ms: Date.now() + 1_000_000, next_position: 4 };
    await db.updateTable('event_group').set(other).execute();
    await lost.promise;
    await bus.close();
    expect(await db.selectFrom('event_group').select(['lease_owner', 'next_position']).execute()).toEqual([
      { lease_owner: 'other', next_position: 4 },
    ]);
  });

  it('holds no lease while there is no work', async () => {
    const bus = await open({ pollMs: 5 });
    const seen = await collect(bus, 'g');
    await bus.publish(topic, events(1));
    await expect.poll(() => seen, { timeout: WAIT_MS }).toEqual([0]);
    const db = await openLog();
    await expect
      .poll(() => db.selectFrom('event_group').selectAll().execute(), { timeout: WAIT_MS })
      .toEqual([{ group_name: 'g', topic, next_position: 1, lease_owner: null, lease_until_ms: 0 }]);
  });
});
