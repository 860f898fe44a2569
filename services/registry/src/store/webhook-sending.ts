/** What the deliverer reads and writes: which deliveries are due, and what became of them. */
import type { Queryable, WebhookDeliveriesTable, WebhooksTable } from './tables.ts';

/** So many models of one webhook are told at once. */
export const LANES = 4;
/** Read at once to find the first delivery of each order key. */
const WINDOW = 200;
/** A webhook whose first windows are all of keys that wait for their next try is looked at again later. */
const MAX_WINDOWS = 5;
const PURGED_AT_ONCE = 1000;

export interface DueWebhook {
  readonly webhook: WebhooksTable;
  /** The first ones of their order keys, whose time has come. */
  readonly deliveries: readonly WebhookDeliveriesTable[];
}

/** Enabled webhooks with something to send now, without those in `busy`; and when there is something next. */
export async function dueWebhooks(
  db: Queryable,
  now: number,
  limits: { readonly busy: ReadonlySet<string>; readonly maxWebhooks: number },
): Promise<{ readonly due: readonly DueWebhook[]; readonly nextAt: number | undefined }> {
  const waiting = await db
    .selectFrom('webhooks')
    .selectAll()
    .where('is_enabled', '=', 1)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('webhook_deliveries')
          .select('position')
          .whereRef('webhook_deliveries.webhook_id', '=', 'webhooks.id')
          .where('state', '=', 'pending'),
      ),
    )
    .orderBy('id')
    .execute();
  const due: DueWebhook[] = [];
  let nextAt: number | undefined;
  for (const webhook of waiting) {
    if (limits.busy.has(webhook.id)) continue;
    if (due.length >= limits.maxWebhooks) break;
    const heads = await dueHeads(db, webhook.id, now);
    if (heads.ids.length > 0) due.push({ webhook, deliveries: await readDeliveries(db, heads.ids) });
    if (heads.nextAt !== undefined) nextAt = Math.min(heads.nextAt, nextAt ?? heads.nextAt);
  }
  return { due, nextAt };
}

async function dueHeads(
  db: Queryable,
  webhookId: string,
  now: number,
): Promise<{ ids: readonly string[]; nextAt: number | undefined }> {
  const laterKeys: string[] = [];
  let nextAt: number | undefined;
  for (let window = 0; window < MAX_WINDOWS; window += 1) {
    let query = db
      .selectFrom('webhook_deliveries')
      .select(['id', 'order_key', 'next_attempt_at'])
      .where('webhook_id', '=', webhookId)
      .where('state', '=', 'pending');
    if (laterKeys.length > 0) query = query.where('order_key', 'not in', laterKeys);
    const rows = await query.orderBy('position').limit(WINDOW).execute();
    const heads = new Map<string, { readonly id: string; readonly at: number }>();
    for (const { id, order_key: key, next_attempt_at: at } of rows) if (!heads.has(key)) heads.set(key, { id, at });
    const ids: string[] = [];
    for (const [key, { id, at }] of heads) {
      if (at <= now) ids.push(id);
      else {
        laterKeys.push(key);
        nextAt = Math.min(at, nextAt ?? at);
      }
    }
    if (ids.length > 0) return { ids: ids.slice(0, LANES), nextAt };
    if (rows.length < WINDOW) break;
  }
  return { ids: [], nextAt };
}

function readDeliveries(db: Queryable, ids: readonly string[]): Promise<WebhookDeliveriesTable[]> {
  return db.selectFrom('webhook_deliveries').selectAll().where('id', 'in', ids).orderBy('position').execute();
}

export type Outcome = Pick<
  WebhookDeliveriesTable,
  | 'state'
  | 'attempts'
  | 'first_attempt_at'
  | 'last_attempt_at'
  | 'next_attempt_at'
  | 'duration_ms'
  | 'status'
  | 'error'
  | 'response'
>;

/** A delivery that another deliverer, which was late, has marked delivered stays so. */
export async function markDelivery(db: Queryable, id: string, outcome: Outcome): Promise<void> {
  await db.updateTable('webhook_deliveries').set(outcome).where('id', '=', id).where('state', '=', 'pending').execute();
}

/** The tries of before do not count any more: what waits is due now. */
export async function beginAnew(trx: Queryable, webhookId: string, at: number): Promise<void> {
  await trx
    .updateTable('webhook_deliveries')
    .set({ first_attempt_at: null, next_attempt_at: at })
    .where('webhook_id', '=', webhookId)
    .where('state', '=', 'pending')
    .where('first_attempt_at', 'is not', null)
    .execute();
}

/** Removes what ended before `before` from the log, and says how much; some at a time. */
export async function purgeDeliveries(db: Queryable, before: number): Promise<number> {
  let purged = 0;
  for (const state of ['delivered', 'failed'] as const) {
    const { numDeletedRows } = await db
      .deleteFrom('webhook_deliveries')
      .where('id', 'in', (eb) =>
        eb
          .selectFrom('webhook_deliveries')
          .select('id')
          .where('state', '=', state)
          .where('created_at', '<', before)
          .limit(PURGED_AT_ONCE),
      )
      .executeTakeFirstOrThrow();
    purged += Number(numDeletedRows);
  }
  return purged;
}

/** What waits, for the metrics. */
export async function waitingDeliveries(
  db: Queryable,
  now: number,
): Promise<{ readonly pending: number; readonly oldestSeconds: number; readonly disabled: number }> {
  const waiting = await db
    .selectFrom('webhook_deliveries')
    .innerJoin('webhooks', 'webhooks.id', 'webhook_deliveries.webhook_id')
    .select((eb) => [eb.fn.countAll<number>().as('count'), eb.fn.min('webhook_deliveries.created_at').as('oldest')])
    .where('webhook_deliveries.state', '=', 'pending')
    .where('webhooks.is_enabled', '=', 1)
    .executeTakeFirstOrThrow();
  const { disabled } = await db
    .selectFrom('webhooks')
    .select((eb) => eb.fn.countAll<number>().as('disabled'))
    .where('is_enabled', '=', 0)
    .executeTakeFirstOrThrow();
  const oldest = waiting.oldest === null ? now : Number(waiting.oldest);
  return {
    pending: Number(waiting.count),
    oldestSeconds: Math.max(0, now - oldest) / 1000,
    disabled: Number(disabled),
  };
}

export function enabledWebhooks(db: Queryable): Promise<Pick<WebhooksTable, 'id'>[]> {
  return db.selectFrom('webhooks').select('id').where('is_enabled', '=', 1).execute();
}
