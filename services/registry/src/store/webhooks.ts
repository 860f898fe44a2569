/** Webhooks: where events are posted to. Each write names the revision that it saw, and is an entry of the audit chain. */
import { AssayError, type CreateWebhook, type Page, type UpdateWebhook, type Webhook } from '@assay/contracts';
import { newId } from '@assay/runtime';
import { type Actor, type Change, change, type Store } from './change.ts';
import { requireModel } from './models.ts';
import { checkRevision } from './stale.ts';
import { fromJson, type Queryable, type WebhooksTable } from './tables.ts';
import { beginAnew } from './webhook-sending.ts';

/** Each is asked in every change. */
const MAX_WEBHOOKS = 100;
/** Nobody counts further. */
const MAX_COUNTED = 10_000;

/** @param seal of the secret, for the webhook with this id */
export function createWebhook(
  store: Store,
  actor: Actor,
  body: CreateWebhook,
  seal: (webhookId: string) => string,
): Promise<Webhook> {
  return change(store, actor, async (change) => {
    const { count } = await change.trx
      .selectFrom('webhooks')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    if (Number(count) >= MAX_WEBHOOKS) {
      throw new AssayError('FAILED_PRECONDITION', `there are ${MAX_WEBHOOKS} webhooks, the most there may be`);
    }
    const id = newId('whk');
    const row: WebhooksTable = {
      id,
      url: body.url,
      events: JSON.stringify(body.events ?? []),
      models: JSON.stringify(await modelIdsOf(change.trx, body.models ?? [])),
      description: body.description ?? '',
      secret: seal(id),
      former_secret: null,
      former_until: null,
      is_enabled: 1,
      disabled_reason: null,
      revision: 1,
      created_at: change.at,
      created_by: actor.principal,
      updated_at: change.at,
      updated_by: actor.principal,
    };
    await change.trx.insertInto('webhooks').values(row).execute();
    change.record('webhook.create', `webhook/${id}`, shownOf(row));
    return webhookOf(change.trx, row);
  });
}

/** @throws AssayError STALE_REVISION, NOT_FOUND */
export function updateWebhook(store: Store, actor: Actor, id: string, body: UpdateWebhook): Promise<Webhook> {
  return change(store, actor, async (change) => {
    const current = await requireWebhook(change.trx, id);
    checkSeen(current, body.expectedRevision);
    const isEnabled = body.enabled ?? current.is_enabled === 1;
    const isTurnedOff = !isEnabled && current.is_enabled === 1;
    if (isEnabled) await beginAnew(change.trx, id, change.at);
    return writeWebhook(change, current, 'webhook.update', {
      url: body.url ?? current.url,
      events: body.events === undefined ? current.events : JSON.stringify(body.events),
      models: body.models === undefined ? current.models : JSON.stringify(await modelIdsOf(change.trx, body.models)),
      description: body.description ?? current.description,
      is_enabled: isEnabled ? 1 : 0,
      disabled_reason: isEnabled ? null : isTurnedOff ? `turned off by ${actor.principal}` : current.disabled_reason,
    });
  });
}

/** From now on the secret is another one; signatures are made with the former one too, until `formerUntil`. */
export function replaceSecret(
  store: Store,
  actor: Actor,
  id: string,
  sealed: string,
  formerUntil: (at: number) => number,
): Promise<Webhook> {
  return change(store, actor, async (change) => {
    const current = await requireWebhook(change.trx, id);
    return writeWebhook(change, current, 'webhook.replace-secret', {
      ...{ secret: sealed, former_secret: current.secret, former_until: formerUntil(change.at) },
    });
  });
}

/** Nothing is sent any more, until somebody enables it. One that is not enabled stays as it is. */
export function disableWebhook(store: Store, actor: Actor, id: string, reason: string): Promise<void> {
  return change(store, actor, async (change) => {
    const current = await findWebhook(change.trx, id);
    if (current === undefined || current.is_enabled === 0) return;
    await writeWebhook(change, current, 'webhook.disable', { is_enabled: 0, disabled_reason: reason });
  });
}

/** With its deliveries. @throws AssayError STALE_REVISION, NOT_FOUND */
export function deleteWebhook(store: Store, actor: Actor, id: string, expectedRevision: number): Promise<void> {
  return change(store, actor, async (change) => {
    const current = await requireWebhook(change.trx, id);
    checkSeen(current, expectedRevision);
    await change.trx.deleteFrom('webhook_deliveries').where('webhook_id', '=', id).execute();
    await change.trx.deleteFrom('webhooks').where('id', '=', id).execute();
    change.record('webhook.delete', `webhook/${id}`, { url: current.url });
  });
}

export async function getWebhook(db: Queryable, id: string): Promise<Webhook> {
  return webhookOf(db, await requireWebhook(db, id));
}

/** Oldest first. */
export async function listWebhooks(
  db: Queryable,
  page: { readonly after?: string; readonly limit: number },
): Promise<Page<Webhook>> {
  let query = db.selectFrom('webhooks').selectAll();
  if (page.after !== undefined) query = query.where('id', '>', page.after);
  const rows = await query
    .orderBy('id')
    .limit(page.limit + 1)
    .execute();
  const items: Webhook[] = [];
  for (const row of rows.slice(0, page.limit)) items.push(await webhookOf(db, row));
  const last = items.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: last.id } : { items };
}

/** @throws AssayError NOT_FOUND */
export async function requireWebhook(db: Queryable, id: string): Promise<WebhooksTable> {
  const row = await findWebhook(db, id);
  if (row === undefined) throw new AssayError('NOT_FOUND', `there is no webhook "${id}"`);
  return row;
}

export function findWebhook(db: Queryable, id: string): Promise<WebhooksTable | undefined> {
  return db.selectFrom('webhooks').selectAll().where('id', '=', id).executeTakeFirst();
}

/** How many deliveries wait, counted to `MAX_COUNTED`. */
export async function countPending(db: Queryable, webhookId: string, limit = MAX_COUNTED): Promise<number> {
  const { count } = await db
    .selectFrom((eb) =>
      eb
        .selectFrom('webhook_deliveries')
        .select('position')
        .where('webhook_id', '=', webhookId)
        .where('state', '=', 'pending')
        .limit(limit)
        .as('waiting'),
    )
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(count);
}

async function writeWebhook(
  change: Change,
  current: WebhooksTable,
  action: string,
  columns: Partial<WebhooksTable>,
): Promise<Webhook> {
  const row: WebhooksTable = {
    ...current,
    ...columns,
    revision: current.revision + 1,
    updated_at: change.at,
    updated_by: change.actor.principal,
  };
  await change.trx.updateTable('webhooks').set(row).where('id', '=', row.id).execute();
  change.record(action, `webhook/${row.id}`, { from: shownOf(current), to: shownOf(row) });
  return webhookOf(change.trx, row);
}

function checkSeen(current: WebhooksTable, expectedRevision: number): void {
  checkRevision({
    what: `webhook ${current.id}`,
    expectedRevision,
    currentRevision: current.revision,
    last: {
      by: current.updated_by,
      at: current.updated_at,
      state: `posting to ${current.url}, ${current.is_enabled === 1 ? 'enabled' : 'not enabled'}`,
    },
  });
}

async function modelIdsOf(db: Queryable, namesOrIds: readonly string[]): Promise<string[]> {
  const ids = new Set<string>();
  for (const [i, nameOrId] of namesOrIds.entries()) {
    const model = await requireModel(db, nameOrId).catch((cause: unknown) => {
      const { message } = AssayError.from(cause);
      throw new AssayError('INVALID_ARGUMENT', `models[${i}]: ${message}`, {
        details: [{ place: `models[${i}]`, message, expected: 'the name or id of a model' }],
        cause,
      });
    });
    ids.add(model.id);
  }
  return [...ids];
}

/** What the audit trail holds of it: no secret, sealed or not. */
function shownOf(row: WebhooksTable) {
  return {
    url: row.url,
    events: fromJson<Webhook['events']>(row.events),
    models: fromJson<string[]>(row.models),
    description: row.description,
    enabled: row.is_enabled === 1,
    ...(row.disabled_reason === null ? {} : { disabledReason: row.disabled_reason }),
  };
}

async function webhookOf(db: Queryable, row: WebhooksTable): Promise<Webhook> {
  return {
    id: row.id,
    ...shownOf(row),
    pending: await countPending(db, row.id),
    revision: row.revision,
    createdAt: row.created_at,
    createdBy: row.created_by,
    updatedAt: row.updated_at,
    updatedBy: row.updated_by,
  };
}
