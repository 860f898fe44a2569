/** How far the outbox is behind, for its metrics. */
import type { Database } from '@assay/database';
import type { Kysely } from 'kysely';
import type { RegistryTables } from './tables.ts';

/** What is read of the outbox, which the migration of the events package made in our database. */
interface OutboxView {
  outbox: { position: number; event: string };
}

export async function outboxLag(
  database: Database<RegistryTables>,
  nowMs: number,
): Promise<{ readonly events: number; readonly oldestSeconds: number }> {
  const db = database.db as unknown as Kysely<OutboxView>; // as above
  const counted = await db
    .selectFrom('outbox')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirst();
  const oldest = await db.selectFrom('outbox').select('event').orderBy('position').limit(1).executeTakeFirst();
  return {
    events: Number(counted?.count ?? 0),
    oldestSeconds: oldest === undefined ? 0 : ageSeconds(oldest.event, nowMs),
  };
}

function ageSeconds(event: string, nowMs: number): number {
  const { time } = JSON.parse(event) as { time?: string }; // an event's envelope, written by our own transaction
  const age = (nowMs - Date.parse(time ?? '')) / 1000;
  return Number.isFinite(age) ? Math.max(0, age) : 0;
}
