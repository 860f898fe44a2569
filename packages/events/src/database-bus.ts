/**
 * The event bus on a database: one log a topic, durable positions of groups. Subscribers in the publisher's process are
 * woken by the commit; those of other processes look every `pollMs`. One member of a group at a time works on a topic,
 * under a lease that it holds only while there is work, so that a killed one delays the rest by no more than its lease.
 */
import { randomUUID } from 'node:crypto';
import { AssayError } from '@assay/contracts';
import { type Database, openDatabase } from '@assay/database';
import type { Logger } from '@assay/runtime';
import { checkName } from './check-events.ts';
import { deliver } from './deliver.ts';
import type { EventBus, EventHandler, SubscribeOptions, Subscription } from './event-bus.ts';
import { createEventLog, type EventLog, type EventLogTables, eventLogMigration, type Retention } from './event-log.ts';
import { type LeaseStore, withLease } from './lease.ts';
import { backoffMs, createWaker, pause, type Waker } from './waker.ts';

export interface DatabaseEventBusOptions {
  /** A database of its own, shared by all that publish or subscribe: `sqlite:/var/lib/assay/events.sqlite`. */
  readonly url: string;
  readonly log: Pick<Logger, 'warn' | 'error'>;
  /** How often to look for what other processes published. Default 250 ms. */
  readonly pollMs?: number;
  /** How long a killed group member holds up the others at most. Default 5 s. */
  readonly leaseMs?: number;
  /** What a topic keeps. Default the newest 100,000 events, of the last 7 days. */
  readonly retention?: Partial<Retention>;
}

const BATCH_EVENTS = 64;
/** How much handled work may be handed out again after a kill. */
const COMMIT_EVERY_MS = 500;
const DEFAULT_RETENTION: Retention = { maxEvents: 100_000, maxAgeMs: 7 * 24 * 60 * 60 * 1000 };

interface Context {
  readonly database: Database<EventLogTables>;
  readonly eventLog: EventLog;
  readonly log: Pick<Logger, 'warn' | 'error'>;
  readonly pollMs: number;
  readonly leaseMs: number;
}

/** @throws AssayError as `openDatabase` does */
export async function openDatabaseEventBus(options: DatabaseEventBusOptions): Promise<EventBus> {
  const { log, pollMs = 250, leaseMs = 5000 } = options;
  const database = await openDatabase<EventLogTables>(options.url, { migrations: [eventLogMigration] });
  const eventLog = createEventLog(database, { ...DEFAULT_RETENTION, ...options.retention });
  const context: Context = { database, eventLog, log, pollMs, leaseMs };
  const subscriptions = new Set<Subscription>();
  const wakers = new Set<Waker>();
  let isClosed = false;

  database.onCommit(() => {
    for (const waker of wakers) waker.wake();
  });
  const topics = await database.db.selectFrom('event_topic').select('topic').execute();
  for (const { topic } of topics) await eventLog.trim(topic);

  function checkOpen(): void {
    if (isClosed) throw new AssayError('UNAVAILABLE', 'the event bus is closed; the process is stopping');
  }

  return {
    async publish(topic, events, { signal } = {}) {
      checkOpen();
      await eventLog.append(topic, events, signal);
    },

    async subscribe(subscribeOptions, handle) {
      checkOpen();
      const { topics, delivery, from, signal } = subscribeOptions;
      signal?.throwIfAborted();
      for (const topic of topics) checkName('topic', topic);
      if (delivery !== 'broadcast') checkName('group', delivery.group);
      const stop = new AbortController();
      const loops: Promise<void>[] = [];
      const own: Waker[] = [];
      for (const topic of new Set(topics)) {
        const waker = createWaker();
        const start = await startPosition(context, topic, from);
        if (delivery !== 'broadcast') await joinGroup(context, delivery.group, topic, start);
        own.push(waker);
        wakers.add(waker);
        loops.push(
          delivery === 'broadcast'
            ? followAll(context, topic, start, handle, waker, stop.signal)
            : workInGroup(context, topic, delivery.group, handle, waker, stop.signal),
        );
      }
      const subscription: Subscription = {
        async close() {
          stop.abort();
          signal?.removeEventListener('abort', onAbort);
          await Promise.all(loops);
          for (const waker of own) wakers.delete(waker);
          subscriptions.delete(subscription);
        },
      };
      const onAbort = (): void => void subscription.close();
      signal?.addEventListener('abort', onAbort, { once: true });
      subscriptions.add(subscription);
      return subscription;
    },

    async close() {
      isClosed = true;
      await Promise.all([...subscriptions].map((subscription) => subscription.close()));
      await database.close();
    },
  };
}

async function startPosition({ eventLog }: Context, topic: string, from: SubscribeOptions['from']): Promise<number> {
  const { first, next } = await eventLog.bounds(topic);
  return from === 'earliest' ? first : next;
}

/** Remembers where a new group begins. */
async function joinGroup({ database }: Context, group: string, topic: string, start: number): Promise<void> {
  await database.db
    .insertInto('event_group')
    .values({ group_name: group, topic, next_position: start, lease_owner: null, lease_until_ms: 0 })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Runs `step` again and again; it says whether there may be more at once. Errors of the database are waited out. */
async function repeat(
  { log, pollMs }: Context,
  topic: string,
  waker: Waker,
  signal: AbortSignal,
  step: () => Promise<boolean>,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    try {
      const more = await step();
      failures = 0;
      // Handlers may never wait for anything: a long backlog must not keep timers and sockets from their turn.
      if (more) await new Promise((resolve) => setImmediate(resolve));
      else await waker.wait(pollMs, signal);
    } catch (error) {
      failures++;
      log.error({ err: error, topic }, 'events could not be read; trying again');
      await pause(backoffMs(failures), signal);
    }
  }
}

function followAll(
  context: Context,
  topic: string,
  start: number,
  handle: EventHandler,
  waker: Waker,
  signal: AbortSignal,
): Promise<void> {
  let position = start;
  return repeat(context, topic, waker, signal, async () => {
    const events = await context.eventLog.read(topic, position, BATCH_EVENTS);
    tellDropped(context, topic, 'broadcast', position, events[0]?.position);
    for (const each of events) {
      if (!(await deliver(each.event, handle, { topic, signal, log: context.log, of: 'broadcast' }))) return false;
      position = each.position + 1;
    }
    return events.length > 0;
  });
}

function workInGroup(
  context: Context,
  topic: string,
  group: string,
  handle: EventHandler,
  waker: Waker,
  signal: AbortSignal,
): Promise<void> {
  const { eventLog, leaseMs, log } = context;
  const owner = randomUUID();
  const place = groupPlace(context, group, topic);
  return repeat(context, topic, waker, signal, async () => {
    const seen = await place.read();
    const isTaken = seen.lease_owner !== null && seen.lease_owner !== owner && seen.lease_until_ms > Date.now();
    if (isTaken || (await eventLog.read(topic, seen.next_position, 1)).length === 0) return false;
    return withLease(place, { owner, leaseMs, signal, log }, async (working) => {
      let position = (await place.read()).next_position;
      let committedAtMs = performance.now();
      try {
        while (!working.aborted) {
          const events = await eventLog.read(topic, position, BATCH_EVENTS);
          if (events.length === 0) return;
          tellDropped(context, topic, group, position, events[0]?.position);
          for (const each of events) {
            if (!(await deliver(each.event, handle, { topic, signal: working, log, of: group }))) return;
            position = each.position + 1;
            if (performance.now() - committedAtMs < COMMIT_EVERY_MS) continue;
            if (!(await place.commit(owner, position))) return;
            committedAtMs = performance.now();
          }
        }
      } finally {
        await place.release(owner, position);
      }
    });
  });
}

function tellDropped({ log }: Context, topic: string, of: string, expected: number, found: number | undefined): void {
  if (found === undefined || found <= expected) return;
  const message = 'events were dropped by the retention before this subscriber had handled them';
  log.error({ topic, subscriber: of, dropped: found - expected }, message);
}

/** A group's row for a topic. What a member writes counts only while it has the lease. */
function groupPlace({ database }: Context, group: string, topic: string) {
  const { db } = database;
  const update = () => db.updateTable('event_group').where('group_name', '=', group).where('topic', '=', topic);
  const changed = (result: { numUpdatedRows: bigint }): boolean => result.numUpdatedRows > 0n;
  return {
    read: () =>
      db
        .selectFrom('event_group')
        .selectAll()
        .where('group_name', '=', group)
        .where('topic', '=', topic)
        .executeTakeFirstOrThrow(),
    acquire: async (owner: string, untilMs: number) =>
      changed(
        await update()
          .set({ lease_owner: owner, lease_until_ms: untilMs })
          .where((e) =>
            e.or([e('lease_owner', 'is', null), e('lease_owner', '=', owner), e('lease_until_ms', '<=', Date.now())]),
          )
          .executeTakeFirst(),
      ),
    renew: async (owner: string, untilMs: number) =>
      changed(await update().set({ lease_until_ms: untilMs }).where('lease_owner', '=', owner).executeTakeFirst()),
    commit: async (owner: string, position: number) =>
      changed(await update().set({ next_position: position }).where('lease_owner', '=', owner).executeTakeFirst()),
    release: async (owner: string, position: number) =>
      changed(
        await update()
          .set({ next_position: position, lease_owner: null, lease_until_ms: 0 })
          .where('lease_owner', '=', owner)
          .executeTakeFirst(),
      ),
  } satisfies LeaseStore & Record<string, unknown>;
}
