/**
 * The log of events in a database. Each topic counts its events from 0 without gaps; the counter's row is locked for the
 * time of the transaction that appends, so that no event becomes visible behind a later one.
 */
import type { Event } from '@assay/contracts';
import type { Database, Migration } from '@assay/database';
import { checkName, deserializeEvent, serializeEvent } from './check-events.ts';

export interface EventLogTables {
  event_topic: { topic: string; next_position: number };
  event_log: { topic: string; position: number; event: string; published_at_ms: number };
  /** How far each group is in each topic, and who of the group is at work. */
  event_group: {
    group_name: string;
    topic: string;
    next_position: number;
    lease_owner: string | null;
    lease_until_ms: number;
  };
}

export const eventLogMigration: Migration = {
  name: '001-event-log',
  async up(db) {
    await db.schema
      .createTable('event_topic')
      .addColumn('topic', 'text', (column) => column.primaryKey())
      .addColumn('next_position', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema
      .createTable('event_log')
      .addColumn('topic', 'text', (column) => column.notNull())
      .addColumn('position', 'bigint', (column) => column.notNull())
      .addColumn('event', 'text', (column) => column.notNull())
      .addColumn('published_at_ms', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('event_log_key', ['topic', 'position'])
      .execute();
    await db.schema
      .createTable('event_group')
      .addColumn('group_name', 'text', (column) => column.notNull())
      .addColumn('topic', 'text', (column) => column.notNull())
      .addColumn('next_position', 'bigint', (column) => column.notNull())
      .addColumn('lease_owner', 'text')
      .addColumn('lease_until_ms', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('event_group_key', ['group_name', 'topic'])
      .execute();
  },
};

export interface Retention {
  /** The newest events that each topic keeps. */
  readonly maxEvents: number;
  /** How long an event is kept, in milliseconds. */
  readonly maxAgeMs: number;
}

/** How many events are appended to a topic between two looks at what is to be dropped. */
const RETENTION_STEP = 1000;
const INSERT_ROWS = 500;

export interface EventLog {
  append(topic: string, events: readonly Event[], signal: AbortSignal | undefined): Promise<void>;
  /** The position of the oldest event that is kept, and the one that the next event will have. */
  bounds(topic: string): Promise<{ first: number; next: number }>;
  /** At most `limit` events from `position` on. Where the first is further on, those between were dropped. */
  read(topic: string, position: number, limit: number): Promise<{ position: number; event: Event }[]>;
  /** Drops what the retention no longer keeps. */
  trim(topic: string): Promise<void>;
}

export function createEventLog(database: Database<EventLogTables>, retention: Retention): EventLog {
  const { db } = database;

  async function trim(topic: string): Promise<void> {
    const { next } = await bounds(topic);
    await db
      .deleteFrom('event_log')
      .where('topic', '=', topic)
      .where((e) =>
        e.or([
          e('position', '<', next - retention.maxEvents),
          e('published_at_ms', '<', Date.now() - retention.maxAgeMs),
        ]),
      )
      .execute();
  }

  async function bounds(topic: string): Promise<{ first: number; next: number }> {
    const counter = await db
      .selectFrom('event_topic')
      .select('next_position')
      .where('topic', '=', topic)
      .executeTakeFirst();
    const next = counter?.next_position ?? 0;
    const oldest = await db
      .selectFrom('event_log')
      .select('position')
      .where('topic', '=', topic)
      .orderBy('position')
      .limit(1)
      .executeTakeFirst();
    return { first: Math.min(oldest?.position ?? next, next), next };
  }

  return {
    async append(topic, events, signal) {
      checkName('topic', topic);
      const texts = events.map(serializeEvent);
      if (texts.length === 0) return;
      const next = await database.transaction(
        async (trx) => {
          const counter = await trx
            .insertInto('event_topic')
            .values({ topic, next_position: texts.length })
            .onConflict((conflict) =>
              conflict
                .column('topic')
                .doUpdateSet((e) => ({ next_position: e('event_topic.next_position', '+', texts.length) })),
            )
            .returning('next_position')
            .executeTakeFirstOrThrow();
          const first = counter.next_position - texts.length;
          const now = Date.now();
          const rows = texts.map((event, i) => ({ topic, position: first + i, event, published_at_ms: now }));
          for (let i = 0; i < rows.length; i += INSERT_ROWS) {
            await trx
              .insertInto('event_log')
              .values(rows.slice(i, i + INSERT_ROWS))
              .execute();
          }
          return counter.next_position;
        },
        signal === undefined ? {} : { signal },
      );
      const isDue = Math.floor(next / RETENTION_STEP) > Math.floor((next - texts.length) / RETENTION_STEP);
      if (isDue) await trim(topic);
    },

    bounds,

    async read(topic, position, limit) {
      const rows = await db
        .selectFrom('event_log')
        .select(['position', 'event'])
        .where('topic', '=', topic)
        .where('position', '>=', position)
        .orderBy('position')
        .limit(limit)
        .execute();
      return rows.map((row) => ({ position: row.position, event: deserializeEvent(row.event) }));
    },

    trim,
  };
}
