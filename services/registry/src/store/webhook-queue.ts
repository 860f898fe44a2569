/**
 * Deliveries as they are queued: an event for a webhook, written in the change that the event tells of, so that none is lost
 * and none is made up. They wait in the order of their positions.
 */
import type { Event } from '@assay/contracts';
import { newId } from '@assay/runtime';
import { aboutOf, isWanted, orderKeyOf } from '../domain/webhook-filter.ts';
import { fromJson, type Queryable, type WebhookDeliveriesTable } from './tables.ts';

/** For every webhook that wants to hear of them; in the transaction of the change. */
export async function queueDeliveries(trx: Queryable, events: readonly Event[], at: number): Promise<void> {
  if (events.length === 0) return;
  const webhooks = await trx
    .selectFrom('webhooks')
    .select(['id', 'events', 'models'])
    .where('is_enabled', '=', 1)
    .orderBy('id')
    .execute();
  if (webhooks.length === 0) return;
  const filters = webhooks.map(({ id, events: types, models }) => ({
    id,
    events: fromJson<string[]>(types),
    models: fromJson<string[]>(models),
  }));
  const asksModels = filters.some(({ models }) => models.length > 0);
  for (const event of events) {
    const about = asksModels ? await modelsOf(trx, event) : [];
    for (const filter of filters) {
      if (isWanted(filter, event, about)) await insertDelivery(trx, filter.id, messageOf(event), at);
    }
  }
}

/** What is sent, and behind which others. */
export interface Message {
  readonly orderKey: string;
  readonly eventId: string;
  readonly eventType: string;
  readonly subject: string;
  readonly body: string;
}

export function messageOf(event: Event): Message {
  const { id: eventId, type: eventType, subject } = event;
  return { orderKey: orderKeyOf(event), eventId, eventType, subject, body: JSON.stringify(event) };
}

export async function insertDelivery(
  trx: Queryable,
  webhookId: string,
  message: Message,
  at: number,
  more: Partial<WebhookDeliveriesTable> = {},
): Promise<WebhookDeliveriesTable> {
  const { next_position: next } = await trx
    .updateTable('webhook_counter')
    .set((eb) => ({ next_position: eb('next_position', '+', 1) }))
    .returning('next_position')
    .executeTakeFirstOrThrow();
  const row: WebhookDeliveriesTable = {
    id: newId('whd'),
    webhook_id: webhookId,
    position: next - 1,
    order_key: message.orderKey,
    event_id: message.eventId,
    event_type: message.eventType,
    subject: message.subject,
    body: message.body,
    state: 'pending',
    attempts: 0,
    created_at: at,
    first_attempt_at: null,
    last_attempt_at: null,
    next_attempt_at: at,
    duration_ms: null,
    status: null,
    error: null,
    response: null,
    replay_of: null,
    ...more,
  };
  await trx.insertInto('webhook_deliveries').values(row).execute();
  return row;
}

async function modelsOf(trx: Queryable, event: Event): Promise<string[]> {
  const { models, versions } = aboutOf(event);
  if (versions.length === 0) return [...models];
  const rows = await trx.selectFrom('versions').select('model_id').where('id', 'in', versions).execute();
  return [...models, ...rows.map(({ model_id }) => model_id)];
}
