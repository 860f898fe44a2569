/** The webhooks of the registry: the part of its client that knows their paths and bodies. */
import {
  type CreateWebhook,
  type DeliveryState,
  Page,
  type PageQuery,
  type UpdateWebhook,
  Webhook,
  WebhookDelivery,
  WebhookWithSecret,
} from '@assay/contracts';
import { type CallOptions, segment, type Transport } from './transport.ts';

const WebhookPage = Page(Webhook, 'WebhookPage');
const WebhookDeliveryPage = Page(WebhookDelivery, 'WebhookDeliveryPage');

export function webhookMethods(transport: Transport) {
  const of = (id: string): string => `/v1/webhooks/${segment(id)}`;
  return {
    /** The answer has the secret, which is shown this once. Not retried once it was sent: it might be lost. */
    createWebhook(body: CreateWebhook, o?: CallOptions): Promise<WebhookWithSecret> {
      const call = { method: 'POST', path: '/v1/webhooks', json: body, idempotent: false } as const;
      return transport.json(WebhookWithSecret, call, o);
    },
    /** Oldest first. */
    listWebhooks(query: PageQuery = {}, o?: CallOptions): Promise<Page<Webhook>> {
      return transport.json(WebhookPage, { method: 'GET', path: '/v1/webhooks', query, idempotent: true }, o);
    },
    getWebhook(id: string, o?: CallOptions): Promise<Webhook> {
      return transport.json(Webhook, { method: 'GET', path: of(id), idempotent: true }, o);
    },
    /** Compare-and-set: STALE_REVISION where another changed it since it was read. */
    updateWebhook(id: string, body: UpdateWebhook, o?: CallOptions): Promise<Webhook> {
      return transport.json(Webhook, { method: 'PATCH', path: of(id), json: body, idempotent: false }, o);
    },
    deleteWebhook(id: string, expectedRevision: number, o?: CallOptions): Promise<void> {
      return transport.done({ method: 'DELETE', path: of(id), query: { expectedRevision }, idempotent: false }, o);
    },
    replaceWebhookSecret(id: string, o?: CallOptions): Promise<WebhookWithSecret> {
      const call = { method: 'POST', path: `${of(id)}/secret`, idempotent: false } as const;
      return transport.json(WebhookWithSecret, call, o);
    },
    /** Posts one event now, and tells what came of it. */
    testWebhook(id: string, o?: CallOptions): Promise<WebhookDelivery> {
      return transport.json(WebhookDelivery, { method: 'POST', path: `${of(id)}/test`, idempotent: false }, o);
    },
    /** Newest first. */
    listWebhookDeliveries(
      id: string,
      query: PageQuery & { state?: DeliveryState } = {},
      o?: CallOptions,
    ): Promise<Page<WebhookDelivery>> {
      const call = { method: 'GET', path: `${of(id)}/deliveries`, query, idempotent: true } as const;
      return transport.json(WebhookDeliveryPage, call, o);
    },
    /** The same event again, with the same id. */
    replayWebhookDelivery(id: string, deliveryId: string, o?: CallOptions): Promise<WebhookDelivery> {
      const path = `${of(id)}/deliveries/${segment(deliveryId)}/replay`;
      return transport.json(WebhookDelivery, { method: 'POST', path, idempotent: false }, o);
    },
  };
}
