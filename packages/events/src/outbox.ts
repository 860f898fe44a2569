/**
 * The outbox: a service writes its events into a table of its own, in the transaction of the change that they tell of; a
 * publisher carries them to the bus, in the order of the commits, and removes them once the bus has them. Killed between
 * the two it publishes again: consumers see a duplicate, never a loss.
 *
 * Of several processes on one database, one publishes at a time, under a lease. One that was frozen past its lease may
 * still have a call under way: then older events can arrive after newer ones, which consumers drop by their sequence.
 */
import { randomUUID } from 'node:crypto';
import type { Event } from '@assay/contracts';
import type { Database, Migration } from '@assay/database';
import type { Logger } from '@assay/runtime';
import type { Kysely, Transaction } from 'kysely';
import { checkName, deserializeEvent, serializeEvent } from './check-events.ts';
import type { EventBus } from './event-bus.ts';
import { withLease } from './lease.ts';
import { leaseRow } from './lease-row.ts';
import { backoffMs, createWaker, pause } from './waker.ts';

interface OutboxTables {
  outbox: { position: number; topic: string; event: string };
  /** One row. Its lock, held to the end of a transaction, makes the order of positions that of the commits. */
  outbox_counter: { id: string; next_position: number };
  outbox_lease: { id: string; owner: string | null; until_ms: number };
}

const ONLY = 'only';
const BATCH_EVENTS = 100;
/** What is written so soon after a round goes in the next one: a round is some durable writes, however many its events. */
const TOGETHER_MS = 50;
const INSERT_ROWS = 500;

/** The outbox's tables, for a service's list of migrations. */
export const outboxMigration: Migration = {
  name: 'outbox-001',
  async up(db) {
    await db.schema
      .createTable('outbox')
      .addColumn('position', 'bigint', (column) => column.primaryKey())
      .addColumn('topic', 'text', (column) => column.notNull())
      .addColumn('event', 'text', (column) => column.notNull())
      .execute();
    await db.schema
      .createTable('outbox_counter')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('next_position', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema
      .createTable('outbox_lease')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('owner', 'text')
      .addColumn('until_ms', 'bigint', (column) => column.notNull())
      .execute();
    await db.insertInto('outbox_counter').values({ id: ONLY, next_position: 0 }).execute();
    await db.insertInto('outbox_lease').values({ id: ONLY, owner: null, until_ms: 0 }).execute();
  },
};

/**
 * Records events in the transaction of the change that they tell of: both are there after it, or neither.
 * @param trx of a database whose migrations hold `outboxMigration`
 * @throws AssayError INVALID_ARGUMENT, PAYLOAD_TOO_LARGE: the transaction then fails with it
 */
export async function writeOutbox<Tables>(
  trx: Transaction<Tables>,
  topic: string,
  events: readonly Event[],
): Promise<void> {
  checkName('topic', topic);
  const texts = events.map(serializeEvent);
  if (texts.length === 0) return;
  const outbox = trx as unknown as Transaction<OutboxTables>; // the migration made these tables in the same database
  const { next_position: next } = await outbox
    .updateTable('outbox_counter')
    .set((e) => ({ next_position: e('next_position', '+', texts.length) }))
    .where('id', '=', ONLY)
    .returning('next_position')
    .executeTakeFirstOrThrow();
  const rows = texts.map((event, i) => ({ position: next - texts.length + i, topic, event }));
  for (let i = 0; i < rows.length; i += INSERT_ROWS) {
    await outbox
      .insertInto('outbox')
      .values(rows.slice(i, i + INSERT_ROWS))
      .execute();
  }
}

export interface OutboxPublisherOptions<Tables> {
  readonly database: Database<Tables>;
  readonly bus: Pick<EventBus, 'publish'>;
  readonly log: Pick<Logger, 'warn'>;
  /** How often to look for what other processes wrote; commits of this one are seen at once. Default 500 ms. */
  readonly pollMs?: number;
  /** How long a killed publisher holds up the next one at most. Default 5 s. */
  readonly leaseMs?: number;
}

export interface OutboxPublisher {
  /** Ends the loop. What is not yet published stays in the outbox. */
  close(): Promise<void>;
}

export function startOutboxPublisher<Tables>(options: OutboxPublisherOptions<Tables>): OutboxPublisher {
  const { database, bus, log, pollMs = 500, leaseMs = 5000 } = options;
  const db = database.db as unknown as Kysely<OutboxTables>; // as in writeOutbox
  const stop = new AbortController();
  const waker = createWaker();
  const owner = randomUUID();
  const stopListening = database.onCommit(waker.wake);
  const lease = leaseRow(db, 'outbox_lease');

  async function publishAll(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        const rows = await db.selectFrom('outbox').selectAll().orderBy('position').limit(BATCH_EVENTS).execute();
        const [first] = rows;
        if (first === undefined) return;
        // The beginning that goes to one topic: what follows waits, so that the order is kept.
        const end = rows.findIndex(({ topic }) => topic !== first.topic);
        const run = end < 0 ? rows : rows.slice(0, end);
        const events = run.map(({ event }) => deserializeEvent(event));
        await bus.publish(first.topic, events, { signal });
        const last = run.at(-1) ?? first;
        await db.deleteFrom('outbox').where('position', '<=', last.position).execute();
      }
    } finally {
      await lease.release(owner);
    }
  }

  async function loop(): Promise<void> {
    let failures = 0;
    while (!stop.signal.aborted) {
      try {
        const waiting = await db.selectFrom('outbox').select('position').limit(1).execute();
        if (waiting.length > 0) {
          await withLease(lease, { owner, leaseMs, signal: stop.signal, log }, publishAll);
          await pause(TOGETHER_MS, stop.signal);
        }
        failures = 0;
      } catch (error) {
        if (stop.signal.aborted) return;
        failures++;
        const retryInMs = Math.round(backoffMs(failures));
        log.warn({ err: error, retryInMs }, 'events of the outbox could not be published; trying again');
        await pause(retryInMs, stop.signal);
        continue;
      }
      await waker.wait(pollMs, stop.signal);
    }
  }

  const done = loop();
  return {
    async close() {
      stop.abort(new DOMException('the outbox publisher is closed', 'AbortError'));
      stopListening();
      await done;
    },
  };
}
