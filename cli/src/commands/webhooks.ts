/** `assay webhooks`: where events are posted to. */
import { createRegistryClient, type RegistryClient } from '@assay/client';
import {
  AssayError,
  type CreateWebhook,
  type DeliveryState,
  nearest,
  REGISTRY_EVENT_TYPES,
  type RegistryEventType,
  type Webhook,
  type WebhookDelivery,
  type WebhookWithSecret,
} from '@assay/contracts';
import type { Io } from '../io.ts';
import { facts, instant, json, table } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';

export interface WebhookOptions extends TargetOptions {
  readonly url?: string;
  readonly events?: readonly string[];
  readonly models?: readonly string[];
  readonly description?: string;
}

export async function create(io: Io, url: string, options: WebhookOptions): Promise<void> {
  await using registry = await connect(io, options);
  const made = await registry.createWebhook({ ...settingsOf(options), url }, { signal: io.signal });
  showSecret(io, made, options, `Webhook ${made.webhook.id} posts to ${made.webhook.url}.`);
}

export async function list(io: Io, options: TargetOptions): Promise<void> {
  await using registry = await connect(io, options);
  const { items } = await registry.listWebhooks({ limit: 1000 }, { signal: io.signal }); // there are 100 at most
  if (options.json) return io.out(json({ items }));
  if (items.length === 0) return io.out('There are no webhooks yet. `assay webhooks create URL` makes one.\n');
  io.out(
    table(
      ['ID', 'URL', 'ENABLED', 'WAITING', 'EVENTS', 'MODELS'],
      items.map(({ id, url, enabled, pending, events, models }) => [
        id,
        url,
        enabled ? 'yes' : 'no',
        String(pending),
        events.join(',') || 'all',
        models.join(',') || 'all',
      ]),
    ),
  );
}

export async function show(io: Io, id: string, options: TargetOptions): Promise<void> {
  await using registry = await connect(io, options);
  showWebhook(io, await registry.getWebhook(id, { signal: io.signal }), options);
}

export async function update(io: Io, id: string, options: WebhookOptions): Promise<void> {
  await using registry = await connect(io, options);
  const { revision: expectedRevision } = await registry.getWebhook(id, { signal: io.signal });
  const url = options.url === undefined ? {} : { url: options.url };
  const body = { expectedRevision, ...settingsOf(options), ...url };
  showWebhook(io, await registry.updateWebhook(id, body, { signal: io.signal }), options);
}

export async function enable(io: Io, id: string, enabled: boolean, options: TargetOptions): Promise<void> {
  await using registry = await connect(io, options);
  const { revision: expectedRevision } = await registry.getWebhook(id, { signal: io.signal });
  showWebhook(io, await registry.updateWebhook(id, { expectedRevision, enabled }, { signal: io.signal }), options);
}

export async function remove(io: Io, id: string, options: TargetOptions): Promise<void> {
  await using registry = await connect(io, options);
  const { revision, url } = await registry.getWebhook(id, { signal: io.signal });
  await registry.deleteWebhook(id, revision, { signal: io.signal });
  io.out(options.json ? json({ id, deleted: true }) : `Webhook ${id} posts to ${url} no more.\n`);
}

export async function secret(io: Io, id: string, options: TargetOptions): Promise<void> {
  await using registry = await connect(io, options);
  const made = await registry.replaceWebhookSecret(id, { signal: io.signal });
  showSecret(io, made, options, `Webhook ${id} has another secret; for 24 hours the former one is signed with, too.`);
}

/** UNAVAILABLE, and so an exit code of its own, where the receiver did not take it. */
export async function test(io: Io, id: string, options: TargetOptions): Promise<void> {
  await using registry = await connect(io, options);
  const delivery = await registry.testWebhook(id, { signal: io.signal });
  if (delivery.state !== 'delivered') {
    throw new AssayError('UNAVAILABLE', `the receiver did not take it: ${delivery.error ?? 'no reason is known'}`);
  }
  io.out(options.json ? json(delivery) : `It answered ${delivery.status} after ${delivery.durationMs} ms.\n`);
}

export async function deliveries(
  io: Io,
  id: string,
  options: TargetOptions & { readonly state?: DeliveryState; readonly limit: number; readonly after?: string },
): Promise<void> {
  await using registry = await connect(io, options);
  const { state, limit, after } = options;
  const query = { limit, ...(state === undefined ? {} : { state }), ...(after === undefined ? {} : { after }) };
  const page = await registry.listWebhookDeliveries(id, query, { signal: io.signal });
  if (options.json) return io.out(json(page));
  io.out(deliveryTable(page.items));
  if (page.next !== undefined) io.out(`\nMore: --after ${page.next}\n`);
}

export async function replay(io: Io, id: string, deliveryId: string, options: TargetOptions): Promise<void> {
  await using registry = await connect(io, options);
  const again = await registry.replayWebhookDelivery(id, deliveryId, { signal: io.signal });
  io.out(options.json ? json(again) : `Delivery ${again.id} sends ${again.eventType} ${again.eventId} again.\n`);
}

async function connect(io: Io, options: TargetOptions): Promise<RegistryClient> {
  return createRegistryClient(await peerOf('registry', io, options));
}

function settingsOf({ events, models, description }: WebhookOptions): Omit<CreateWebhook, 'url'> {
  return {
    ...(events === undefined ? {} : { events: events.map(eventTypeOf) }),
    ...(models === undefined ? {} : { models: [...models] }),
    ...(description === undefined ? {} : { description }),
  };
}

/** @throws AssayError INVALID_ARGUMENT with the type that was probably meant */
function eventTypeOf(text: string): RegistryEventType {
  const known = REGISTRY_EVENT_TYPES.find((type) => type === text);
  if (known !== undefined) return known;
  const suggestion = nearest(text, [...REGISTRY_EVENT_TYPES]);
  const hint =
    suggestion === undefined ? `expected ${REGISTRY_EVENT_TYPES.join(', ')}` : `did you mean "${suggestion}"?`;
  throw new AssayError('INVALID_ARGUMENT', `--events: there is no event "${text}"; ${hint}`);
}

/** The secret alone on standard output, so that it can be piped to where it belongs. */
function showSecret(io: Io, made: WebhookWithSecret, options: TargetOptions, what: string): void {
  if (options.json) {
    io.out(json(made));
    return;
  }
  io.err(`${what} The secret is shown this once:\n`);
  io.out(`${made.secret}\n`);
}

function showWebhook(io: Io, webhook: Webhook, options: TargetOptions): void {
  if (options.json) {
    io.out(json(webhook));
    return;
  }
  io.out(
    facts([
      ['id', webhook.id],
      ['url', webhook.url],
      ['enabled', webhook.enabled ? 'yes' : `no: ${webhook.disabledReason ?? 'no reason is known'}`],
      ['waiting', String(webhook.pending)],
      ['events', webhook.events.join(', ') || 'all'],
      ['models', webhook.models.join(', ') || 'all'],
      ['description', webhook.description || '-'],
      ['created', `${instant(webhook.createdAt)} by ${webhook.createdBy}`],
      ['updated', `${instant(webhook.updatedAt)} by ${webhook.updatedBy}, revision ${webhook.revision}`],
    ]),
  );
}

function deliveryTable(found: readonly WebhookDelivery[]): string {
  return table(
    ['ID', 'CREATED', 'STATE', 'TRIES', 'EVENT', 'SUBJECT', 'ANSWER'],
    found.map(({ id, createdAt, state, attempts, eventType, subject, status, error }) => [
      id,
      instant(createdAt),
      state,
      String(attempts),
      eventType,
      subject,
      error ?? (status === undefined ? '-' : String(status)),
    ]),
  );
}
