/**
 * Webhooks: what changes in the registry, posted to an address of yours.
 *
 * A *delivery* is one event for one webhook: tried until the receiver takes it, in the order of the events of a model.
 * Signatures follow Standard Webhooks (https://www.standardwebhooks.com).
 */
import Type from 'typebox';
import { EpochMs, Id, Revision } from './registry.ts';

const strict = { additionalProperties: false } as const;

/** Every type of the events of the registry (topic `assay.models.v1`). */
export const REGISTRY_EVENT_TYPES = [
  'assay.model.created.v1',
  'assay.model.updated.v1',
  'assay.model.version-registered.v1',
  'assay.model.alias-moved.v1',
  'assay.model.alias-deleted.v1',
  'assay.model.deleted.v1',
  'assay.model.gates-changed.v1',
  'assay.model.version-updated.v1',
  'assay.model.version-deleted.v1',
  'assay.model.version-restored.v1',
  'assay.model.restored.v1',
  'assay.version.registered.v1',
  'assay.version.updated.v1',
  'assay.version.deleted.v1',
  'assay.version.restored.v1',
  'assay.version.approvals-changed.v1',
  'assay.dataset.version-registered.v1',
  'assay.dataset.deleted.v1',
  'assay.dataset.restored.v1',
  'assay.dataset-version.registered.v1',
  'assay.dataset-version.deleted.v1',
  'assay.dataset-version.restored.v1',
  'assay.endpoint.created.v1',
  'assay.endpoint.updated.v1',
  'assay.endpoint.moved.v1',
  'assay.endpoint.deleted.v1',
] as const;
export type RegistryEventType = (typeof REGISTRY_EVENT_TYPES)[number];

/** What a test of a webhook sends. */
export const WEBHOOK_PING = 'assay.webhook.ping.v1';

const OF_MODELS =
  'Only events of these models, their versions, and the endpoints that serve them or follow an alias of theirs; empty: all of them.';
const MODELS = { maxItems: 100, uniqueItems: true } as const;

const settings = {
  url: Type.String({
    minLength: 1,
    maxLength: 2000,
    description:
      '`https`; without user and password. `http` to this machine alone, where the setting `webhookAllowedNetworks` has it. Addresses of private networks are refused unless that setting has them.',
  }),
  events: Type.Array(Type.Enum([...REGISTRY_EVENT_TYPES]), {
    maxItems: REGISTRY_EVENT_TYPES.length,
    uniqueItems: true,
    description: 'Only events of these types; empty: all of them.',
  }),
  description: Type.String({ maxLength: 1000 }),
};

export const CreateWebhook = Type.Object(
  {
    url: settings.url,
    events: Type.Optional(settings.events),
    models: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 128 }), {
        ...MODELS,
        description: `Names or ids. ${OF_MODELS}`,
      }),
    ),
    description: Type.Optional(settings.description),
  },
  { $id: 'CreateWebhook', ...strict },
);
export type CreateWebhook = Type.Static<typeof CreateWebhook>;

export const UpdateWebhook = Type.Object(
  {
    expectedRevision: Type.Integer({ minimum: 0, description: 'The revision that was read.' }),
    ...Type.Partial(CreateWebhook).properties,
    enabled: Type.Optional(
      Type.Boolean({ description: '`true` goes on where it stood; `false` sends nothing, and takes on nothing new.' }),
    ),
  },
  { $id: 'UpdateWebhook', ...strict },
);
export type UpdateWebhook = Type.Static<typeof UpdateWebhook>;

export const Webhook = Type.Object(
  {
    id: Id,
    url: settings.url,
    events: settings.events,
    models: Type.Array(Id, { ...MODELS, description: `Ids. ${OF_MODELS}` }),
    description: settings.description,
    enabled: Type.Boolean(),
    disabledReason: Type.Optional(Type.String({ description: 'Why it is not enabled.' })),
    pending: Type.Integer({ minimum: 0, description: 'Deliveries that wait; counted to 10,000.' }),
    revision: Revision,
    createdAt: EpochMs,
    createdBy: Type.String(),
    updatedAt: EpochMs,
    updatedBy: Type.String(),
  },
  { $id: 'Webhook', ...strict },
);
export type Webhook = Type.Static<typeof Webhook>;

export const WebhookWithSecret = Type.Object(
  {
    webhook: Webhook,
    secret: Type.String({ description: '`whsec_…`: what signatures are checked with. Never shown again.' }),
  },
  { $id: 'WebhookWithSecret', ...strict },
);
export type WebhookWithSecret = Type.Static<typeof WebhookWithSecret>;

export const DELIVERY_STATES = ['pending', 'delivered', 'failed'] as const;
export const DeliveryState = Type.Enum([...DELIVERY_STATES], {
  description: '`failed` is final: of a test, which is sent once. Any other delivery is `pending` until it is taken.',
});
export type DeliveryState = Type.Static<typeof DeliveryState>;

export const WebhookDelivery = Type.Object(
  {
    id: Id,
    webhookId: Id,
    eventId: Type.String({ ...Id, description: 'The `webhook-id` that it is sent with, each time.' }),
    eventType: Type.String(),
    subject: Type.String({ description: 'The id of the resource.' }),
    state: DeliveryState,
    attempts: Type.Integer({ minimum: 0 }),
    createdAt: EpochMs,
    lastAttemptAt: Type.Optional(EpochMs),
    nextAttemptAt: Type.Optional(Type.Integer({ ...EpochMs, description: 'Not before.' })),
    durationMs: Type.Optional(Type.Integer({ minimum: 0, description: 'Of the last attempt.' })),
    status: Type.Optional(Type.Integer({ description: 'The HTTP status of the last answer.' })),
    error: Type.Optional(Type.String({ description: 'Why the last attempt failed.' })),
    response: Type.Optional(Type.String({ description: 'The beginning of the body of the last answer.' })),
    replayOf: Type.Optional(Type.String({ ...Id, description: 'The delivery that was asked for again.' })),
  },
  { $id: 'WebhookDelivery', ...strict },
);
export type WebhookDelivery = Type.Static<typeof WebhookDelivery>;
