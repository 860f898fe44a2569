/** Webhooks. The text of a secret is in one answer, the one that made it; the database holds it sealed. */
import {
  CreateWebhook,
  Page,
  PageQuery,
  UpdateWebhook,
  WEBHOOK_PING,
  Webhook,
  WebhookDelivery,
  WebhookWithSecret,
} from '@assay/contracts';
import { newEvent } from '@assay/events';
import { type App, errorResponses } from '@assay/http';
import Type from 'typebox';
import { newWebhookSecret } from '../domain/webhook-signature.ts';
import { deliveryOf, listDeliveries, replayDelivery } from '../store/webhook-deliveries.ts';
import { insertDelivery, messageOf } from '../store/webhook-queue.ts';
import {
  createWebhook,
  deleteWebhook,
  getWebhook,
  listWebhooks,
  replaceSecret,
  requireWebhook,
  updateWebhook,
} from '../store/webhooks.ts';
import { requireSecrets, sendOnce } from '../webhooks/send.ts';
import { checkWebhookUrl } from '../webhooks/target.ts';
import { actorOf, callerGone } from './caller.ts';
import { DEFAULT_LIMIT, numberCursor } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { DeliveriesQuery, DeliveryParams, ExpectedRevisionQuery, WebhookParams } from './schemas.ts';

const tags = ['webhooks'];
const config = { access: 'admin' } as const;

/** How long signatures are made with the former secret, too. */
const FORMER_SECRET_MS = 24 * 60 * 60_000;

export function webhookRoutes(app: App, parts: PartsOf): void {
  app.post(
    '/v1/webhooks',
    {
      config,
      schema: {
        tags,
        operationId: 'createWebhook',
        summary: 'Make a webhook',
        description:
          'From now on events are posted to `url`. `secret` is what their signatures are checked with (Standard Webhooks); it is shown this once. Example: `{"url": "https://example.com/assay", "events": ["assay.model.alias-moved.v1"], "models": ["flight-delay"]}`.',
        body: CreateWebhook,
        response: { 201: WebhookWithSecret, ...errorResponses('INVALID_ARGUMENT', 'FAILED_PRECONDITION') },
      },
    },
    async (request, reply) => {
      const { store, webhooks } = parts();
      const box = requireSecrets(webhooks);
      const body = { ...request.body, url: checkWebhookUrl(request.body.url, webhooks.networks).href };
      const secret = newWebhookSecret();
      const webhook = await createWebhook(store, actorOf(request), body, (id) => box.seal(secret, id));
      reply.header('cache-control', 'no-store').header('location', `/v1/webhooks/${webhook.id}`);
      return reply.code(201).send({ webhook, secret });
    },
  );

  app.get(
    '/v1/webhooks',
    {
      config,
      schema: {
        tags,
        operationId: 'listWebhooks',
        summary: 'List webhooks, oldest first',
        querystring: PageQuery,
        response: { 200: Page(Webhook, 'WebhookPage'), ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT } = request.query;
      return listWebhooks(parts().store.database.db, { limit, ...(after === undefined ? {} : { after }) });
    },
  );

  app.get(
    '/v1/webhooks/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'getWebhook',
        summary: 'Get a webhook',
        params: WebhookParams,
        response: { 200: Webhook, ...errorResponses('NOT_FOUND') },
      },
    },
    async ({ params }) => getWebhook(parts().store.database.db, params.id),
  );

  app.patch(
    '/v1/webhooks/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'updateWebhook',
        summary: 'Change, enable or disable a webhook',
        description:
          'What the body leaves out stays. Enabled again, it gets what waited, in order; what happened while it was not enabled it does not get.',
        params: WebhookParams,
        body: UpdateWebhook,
        response: { 200: Webhook, ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION') },
      },
    },
    async (request) => {
      const { store, webhooks } = parts();
      const { url, ...others } = request.body;
      const checked = url === undefined ? {} : { url: checkWebhookUrl(url, webhooks.networks).href };
      return updateWebhook(store, actorOf(request), request.params.id, { ...others, ...checked });
    },
  );

  app.delete(
    '/v1/webhooks/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'deleteWebhook',
        summary: 'Delete a webhook, with its log and what waits for it',
        params: WebhookParams,
        querystring: ExpectedRevisionQuery,
        response: { 204: Type.Null(), ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION') },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      await deleteWebhook(parts().store, actorOf(request), id, request.query.expectedRevision);
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/v1/webhooks/:id/secret',
    {
      config,
      schema: {
        tags,
        operationId: 'replaceWebhookSecret',
        summary: 'Give a webhook another secret',
        description:
          'For 24 hours `webhook-signature` holds a second signature, made with the former secret, so that the receiver can change over.',
        params: WebhookParams,
        response: { 200: WebhookWithSecret, ...errorResponses('NOT_FOUND', 'FAILED_PRECONDITION') },
      },
    },
    async (request, reply) => {
      const { store, webhooks } = parts();
      const { id } = request.params;
      const secret = newWebhookSecret();
      const sealed = requireSecrets(webhooks).seal(secret, id);
      const webhook = await replaceSecret(store, actorOf(request), id, sealed, (at) => at + FORMER_SECRET_MS);
      reply.header('cache-control', 'no-store');
      return reply.send({ webhook, secret });
    },
  );

  app.post(
    '/v1/webhooks/:id/test',
    {
      config,
      schema: {
        tags,
        operationId: 'testWebhook',
        summary: 'Post an event to a webhook now, once, and tell what came of it',
        description: `The event has the type \`${WEBHOOK_PING}\`. It is sent to a webhook that is not enabled, too.`,
        params: WebhookParams,
        response: { 200: WebhookDelivery, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const { store, webhooks } = parts();
      const webhook = await requireWebhook(store.database.db, request.params.id);
      const actor = actorOf(request);
      const data = { webhookId: webhook.id, sentBy: actor.principal };
      const ping = { source: '/assay/registry', type: WEBHOOK_PING, subject: webhook.id, sequence: 0, data };
      const message = messageOf(newEvent(ping, actor));
      const beganAt = Date.now();
      const answer = await sendOnce(webhook, message, webhooks, callerGone(reply));
      const isDelivered = answer.error === undefined;
      const row = await store.database.transaction((trx) =>
        insertDelivery(trx, webhook.id, message, beganAt, {
          state: isDelivered ? 'delivered' : 'failed',
          attempts: 1,
          first_attempt_at: beganAt,
          last_attempt_at: Date.now(),
          duration_ms: answer.durationMs,
          status: answer.status ?? null,
          error: answer.error ?? null,
          response: answer.response ?? null,
        }),
      );
      return deliveryOf(row);
    },
  );

  app.get(
    '/v1/webhooks/:id/deliveries',
    {
      config,
      schema: {
        tags,
        operationId: 'listWebhookDeliveries',
        summary: 'List the deliveries of a webhook, newest first',
        params: WebhookParams,
        querystring: DeliveriesQuery,
        response: {
          200: Page(WebhookDelivery, 'WebhookDeliveryPage'),
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND'),
        },
      },
    },
    async (request) => {
      const { db } = parts().store.database;
      const { id } = await requireWebhook(db, request.params.id);
      const { after, limit = DEFAULT_LIMIT, state } = request.query;
      const before = numberCursor(after);
      return listDeliveries(db, id, {
        limit,
        ...(before === undefined ? {} : { before }),
        ...(state === undefined ? {} : { state }),
      });
    },
  );

  app.post(
    '/v1/webhooks/:id/deliveries/:delivery/replay',
    {
      config,
      schema: {
        tags,
        operationId: 'replayWebhookDelivery',
        summary: 'Deliver the same event again, with the same id',
        description: 'It waits for no other. The log keeps what can be replayed.',
        params: DeliveryParams,
        response: { 202: WebhookDelivery, ...errorResponses('NOT_FOUND', 'FAILED_PRECONDITION') },
      },
    },
    async (request, reply) => {
      const { id, delivery } = request.params;
      return reply.code(202).send(await replayDelivery(parts().store, actorOf(request), id, delivery));
    },
  );
}
