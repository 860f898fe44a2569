/** The log of deliveries: what was sent, what waits, what the receivers answered; and the same once more. */
import { AssayError, type DeliveryState, type Page, type WebhookDelivery } from '@assay/contracts';
import { newId } from '@assay/runtime';
import { type Actor, change, type Store } from './change.ts';
import type { Queryable, WebhookDeliveriesTable } from './tables.ts';
import { insertDelivery } from './webhook-queue.ts';
import { requireWebhook } from './webhooks.ts';

/** All but the body. */
const LOG_COLUMNS = [
  'id',
  'webhook_id',
  'position',
  'event_id',
  'event_type',
  'subject',
  'state',
  'attempts',
  'created_at',
  'last_attempt_at',
  'next_attempt_at',
  'duration_ms',
  'status',
  'error',
  'response',
  'replay_of',
] as const;

export type LogRow = Pick<WebhookDeliveriesTable, (typeof LOG_COLUMNS)[number]>;

/** Newest first. */
export async function listDeliveries(
  db: Queryable,
  webhookId: string,
  page: { readonly before?: number; readonly limit: number; readonly state?: DeliveryState },
): Promise<Page<WebhookDelivery>> {
  let query = db.selectFrom('webhook_deliveries').select(LOG_COLUMNS).where('webhook_id', '=', webhookId);
  if (page.state !== undefined) query = query.where('state', '=', page.state);
  if (page.before !== undefined) query = query.where('position', '<', page.before);
  const rows = await query
    .orderBy('position', 'desc')
    .limit(page.limit + 1)
    .execute();
  const shown = rows.slice(0, page.limit);
  const items = shown.map(deliveryOf);
  const last = shown.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: String(last.position) } : { items };
}

/**
 * The same event again, with the same id, as soon as it can be, whatever waits.
 * @throws AssayError NOT_FOUND; FAILED_PRECONDITION for a webhook that is not enabled, or a delivery that still waits
 */
export function replayDelivery(
  store: Store,
  actor: Actor,
  webhookId: string,
  deliveryId: string,
): Promise<WebhookDelivery> {
  return change(store, actor, async (change) => {
    const webhook = await requireWebhook(change.trx, webhookId);
    const row = await change.trx
      .selectFrom('webhook_deliveries')
      .selectAll()
      .where('id', '=', deliveryId)
      .where('webhook_id', '=', webhook.id)
      .executeTakeFirst();
    if (row === undefined) {
      throw new AssayError('NOT_FOUND', `webhook ${webhook.id} has no delivery "${deliveryId}", or no longer`);
    }
    if (row.state === 'pending') {
      throw new AssayError('FAILED_PRECONDITION', `delivery ${row.id} still waits: it is sent anyway`);
    }
    if (webhook.is_enabled === 0) {
      throw new AssayError('FAILED_PRECONDITION', `webhook ${webhook.id} is not enabled; enable it first`);
    }
    const { event_id: eventId, event_type: eventType, subject, body } = row;
    const message = { orderKey: newId('replay'), eventId, eventType, subject, body };
    const again = await insertDelivery(change.trx, webhook.id, message, change.at, { replay_of: row.id });
    change.record('webhook.replay', `webhook/${webhook.id}`, { delivery: again.id, replayOf: row.id, event: eventId });
    return deliveryOf(again);
  });
}

export function deliveryOf(row: LogRow): WebhookDelivery {
  const known = <Key extends string, Value>(key: Key, value: Value | null) =>
    (value === null ? {} : { [key]: value }) as { [K in Key]?: Value }; // that key alone
  return {
    id: row.id,
    webhookId: row.webhook_id,
    eventId: row.event_id,
    eventType: row.event_type,
    subject: row.subject,
    state: row.state,
    attempts: row.attempts,
    createdAt: row.created_at,
    ...known('lastAttemptAt', row.last_attempt_at),
    ...(row.state === 'pending' ? { nextAttemptAt: row.next_attempt_at } : {}),
    ...known('durationMs', row.duration_ms),
    ...known('status', row.status),
    ...known('error', row.error),
    ...known('response', row.response),
    ...known('replayOf', row.replay_of),
  };
}
