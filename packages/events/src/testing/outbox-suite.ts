/** What the outbox must do on every database, run by vitest against a real one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { AssayError, type Event } from '@assay/contracts';
import { type Database, openDatabase } from '@assay/database';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newEvent, type OutboxPublisher, startOutboxPublisher, writeOutbox } from '../index.ts';
import { type OutboxTestTables, outboxTestMigrations } from './outbox-suite-tables.ts';

/** A database that is shared by its url. */
export interface OutboxTarget {
  readonly url: string;
  cleanup(): Promise<void>;
}

const silent = { warn: () => undefined };
const WAIT_MS = 20_000;

export function describeOutbox(name: string, prepare: () => Promise<OutboxTarget>): void {
  describe(`the outbox on ${name}`, () => {
    let target: OutboxTarget;
    let database: Database<OutboxTestTables>;
    let opened: (OutboxPublisher | Database<OutboxTestTables>)[] = [];
    let children: ChildProcess[] = [];
    beforeEach(async () => {
      target = await prepare();
      opened = [];
      children = [];
      database = await open();
    });
    afterEach(async () => {
      for (const child of children) child.kill('SIGKILL');
      for (const each of opened.toReversed()) await each.close();
      await target.cleanup();
    });

    async function open(): Promise<Database<OutboxTestTables>> {
      const another = await openDatabase<OutboxTestTables>(target.url, { migrations: outboxTestMigrations });
      opened.push(another);
      return another;
    }

    /** A bus that keeps what it gets, and does what it is told before. */
    function createBus(before: (published: readonly Event[]) => void | Promise<void> = () => undefined) {
      const published: string[] = [];
      return {
        published,
        async publish(topic: string, events: readonly Event[]) {
          await before(events);
          for (const { subject, sequence } of events) published.push(`${topic} ${subject}${sequence}`);
        },
      };
    }

    function publish(bus: ReturnType<typeof createBus>, from = database): OutboxPublisher {
      const publisher = startOutboxPublisher({ database: from, bus, log: silent, pollMs: 20, leaseMs: 10_000 });
      opened.push(publisher);
      return publisher;
    }

    const event = (subject: string, sequence: number) =>
      newEvent({ source: '/assay/test', type: 'assay.test.v1', subject, sequence, data: null });

    function change(subject: string, revision: number, topic = 't', on = database): Promise<void> {
      return on.transaction(async (trx) => {
        await trx
          .insertInto('model')
          .values({ id: `${subject}${revision}`, revision })
          .execute();
        await writeOutbox(trx, topic, [event(subject, revision)]);
      });
    }

    const left = async () => (await sql`select position from outbox`.execute(database.db)).rows;
    const eventually = <T>(read: () => T) => expect.poll(read, { timeout: WAIT_MS, interval: 10 });

    it('publishes what a committed change wrote, in the order of the commits, and then forgets it', async () => {
      await change('a', 1);
      const bus = createBus();
      publish(bus);
      for (let revision = 2; revision <= 250; revision++) await change('a', revision, revision % 3 === 0 ? 'u' : 't');
      const expected = Array.from({ length: 250 }, (_, i) => `${(i + 1) % 3 === 0 ? 'u' : 't'} a${i + 1}`);
      await eventually(() => bus.published).toEqual(expected);
      await eventually(left).toEqual([]);
    });

    it('publishes nothing of a change that was undone', async () => {
      const bus = createBus();
      publish(bus);
      const undone = database.transaction(async (trx) => {
        await writeOutbox(trx, 't', [event('undone', 1)]);
        throw new Error('undone');
      });
      await expect(undone).rejects.toThrow('undone');
      await change('a', 1);
      await eventually(() => bus.published).toEqual(['t a1']);
    });

    it('fails the change whose event is not valid', async () => {
      const wrong = database.transaction(async (trx) => {
        await trx.insertInto('model').values({ id: 'a', revision: 1 }).execute();
        await writeOutbox(trx, 't', [{ ...event('a', 1), subject: '' }]);
      });
      await expect(wrong).rejects.toThrow(AssayError);
      expect(await database.db.selectFrom('model').selectAll().execute()).toEqual([]);
    });

    it('tries again while the bus is away, and keeps the order', async () => {
      let away = 3;
      const bus = createBus(() => {
        if (away-- > 0) throw new AssayError('UNAVAILABLE', 'the broker cannot be reached');
      });
      publish(bus);
      for (let revision = 1; revision <= 5; revision++) await change('a', revision);
      await eventually(() => bus.published).toEqual(['t a1', 't a2', 't a3', 't a4', 't a5']);
    });

    it('publishes again what it could not mark: a duplicate, and no loss', async () => {
      for (let revision = 1; revision <= 3; revision++) await change('a', revision);
      // What refers to a row holds it fast.
      await sql`create table stuck (position bigint references outbox (position))`.execute(database.db);
      await sql`insert into stuck select position from outbox`.execute(database.db);
      const first = createBus();
      const stuck = publish(first);
      await eventually(() => first.published.length).toBeGreaterThanOrEqual(6);
      await stuck.close();
      expect(new Set(first.published)).toEqual(new Set(['t a1', 't a2', 't a3']));
      await sql`drop table stuck`.execute(database.db);
      const second = createBus();
      publish(second);
      await eventually(() => second.published).toEqual(['t a1', 't a2', 't a3']);
      await eventually(left).toEqual([]);
    });

    it('has one publisher at a time, over several handles', async () => {
      let atWork = 0;
      let most = 0;
      const bus = createBus(async () => {
        most = Math.max(most, ++atWork);
        await new Promise((resolve) => setImmediate(resolve));
        atWork--;
      });
      const other = await open();
      publish(bus);
      publish(bus, other);
      await Promise.all([
        ...Array.from({ length: 30 }, (_, i) => change('a', i)),
        ...Array.from({ length: 30 }, (_, i) => change('b', i, 't', other)),
      ]);
      await eventually(() => bus.published.length).toBe(60);
      expect(bus.published.filter((each) => each.includes(' a'))).toEqual(
        Array.from({ length: 30 }, (_, i) => `t a${i}`),
      );
      expect(most).toBe(1);
    });

    it('takes over from a publisher that died at work, when its lease has run out', async () => {
      const untilMs = Date.now() + 500;
      await database.transaction((trx) =>
        sql`update outbox_lease set owner = 'dead', until_ms = ${untilMs}`.execute(trx),
      );
      await change('a', 1);
      const bus = createBus();
      publish(bus);
      await eventually(() => bus.published).toEqual(['t a1']);
      expect(Date.now()).toBeGreaterThanOrEqual(untilMs);
    });

    it('publishes in the order of the commits, whichever change began first', async () => {
      const other = await open();
      const bus = createBus();
      publish(bus);
      publish(bus, other);
      for (let round = 0; round < 10; round++) {
        const begun = Promise.withResolvers<void>();
        const end = Promise.withResolvers<void>();
        const early = database.transaction(async (trx) => {
          begun.resolve();
          await end.promise; // the other one is asked for, and its publisher looks, before this one writes
          await writeOutbox(trx, 't', [event('a', 2 * round)]);
        });
        await begun.promise;
        const late = change('a', 2 * round + 1, 't', other);
        await new Promise((resolve) => setTimeout(resolve, 10));
        end.resolve();
        await Promise.all([early, late]);
      }
      await eventually(() => bus.published.length).toBe(20);
      expect(bus.published).toEqual(Array.from({ length: 20 }, (_, i) => `t a${i}`));
    });

    it('loses nothing and keeps the order when publishers are killed with -9 between sending and marking', async () => {
      const expected: string[] = [];
      for (let i = 0; i < 12; i++) {
        const topic = i % 2 === 0 ? 't' : 'u'; // a batch goes to one topic: twelve batches
        await change('a', i, topic);
        expected.push(`${topic} a${i}`);
      }
      const sent: string[] = [];
      for (const killedAt of [1, 3, 2]) {
        const { lines, exited } = startPublisher(killedAt);
        expect(await exited).toEqual([null, 'SIGKILL']);
        expect(lines).toHaveLength(killedAt);
        sent.push(...lines);
      }
      const bus = createBus();
      publish(bus);
      await eventually(left).toEqual([]);
      sent.push(...bus.published);
      // 1 + 3 + 2 were sent and the last of each killed publisher was not marked: sent again by the next.
      expect(sent).toEqual([0, 0, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((i) => expected[i]));
    });

    /** A publisher in a process of its own that dies after its `killedAt`-th send, before it could mark it. */
    function startPublisher(killedAt: number) {
      const program = fileURLToPath(new URL('../fixtures/dying-publisher.ts', import.meta.url));
      const child = spawn(process.execPath, [program, target.url, String(killedAt)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.push(child);
      const lines: string[] = [];
      child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.trim().split('\n')));
      return { lines, exited: once(child, 'close') };
    }
  });
}
