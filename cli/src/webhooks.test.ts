import type { Webhook, WebhookDelivery } from '@assay/contracts';
import { afterEach, describe, expect, test } from 'vitest';
import { assay, fakeServices } from './fake-services.ts';

const webhook: Webhook = {
  ...{ id: 'whk_1', url: 'https://example.com/assay', events: [], models: ['mdl_1'], description: '', enabled: false },
  ...{ disabledReason: 'turned off by ada', pending: 3, revision: 4 },
  ...{ createdAt: 0, createdBy: 'ada', updatedAt: 1000, updatedBy: 'bob' },
};
const delivery: WebhookDelivery = {
  ...{ id: 'whd_1', webhookId: 'whk_1', eventId: 'evt_1', eventType: 'assay.model.created.v1', subject: 'mdl_1' },
  ...{ state: 'pending', attempts: 2, createdAt: 0, error: 'it answered 500', status: 500 },
};

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function services(routes: Parameters<typeof fakeServices>[0]) {
  const made = await fakeServices(routes);
  cleanups.push(() => made.close());
  const run = (...args: string[]) => assay(['webhooks', ...args, '--registry', made.url]);
  return { made, run };
}

describe('assay webhooks', () => {
  test('create prints the secret alone on standard output, so that it can be piped to where it belongs', async () => {
    const { made, run } = await services({ 'POST /v1/webhooks': [201, { webhook, secret: 'whsec_x' }] });
    const events = 'assay.model.created.v1, assay.model.alias-moved.v1';
    const { code, out, err } = await run('create', webhook.url, '--events', events, '--models', 'delay');
    expect([code, out]).toEqual([0, 'whsec_x\n']);
    expect(err).toContain('whk_1 posts to https://example.com/assay');
    expect(made.requests[0]?.body).toEqual({
      url: webhook.url,
      events: ['assay.model.created.v1', 'assay.model.alias-moved.v1'],
      models: ['delay'],
    });
  });

  test('create suggests the event that was probably meant', async () => {
    const { made, run } = await services({});
    const { code, err } = await run('create', webhook.url, '--events', 'assay.model.alias-move.v1');
    expect([code, made.requests]).toEqual([2, []]);
    expect(err).toContain('did you mean "assay.model.alias-moved.v1"?');
  });

  test('enable and update name the revision that was read, and show why it was not enabled', async () => {
    const { made, run } = await services({
      'GET /v1/webhooks/whk_1': [200, webhook],
      'PATCH /v1/webhooks/whk_1': [200, webhook],
    });
    const { out } = await run('enable', 'whk_1');
    expect(out).toMatch(/enabled +no: turned off by ada/);
    await run('update', 'whk_1', '--models', '');
    expect(made.requests.flatMap(({ body }) => body || [])).toEqual([
      { expectedRevision: 4, enabled: true },
      { expectedRevision: 4, models: [] },
    ]);
  });

  test('deliveries lists what waits and why', async () => {
    const { run } = await services({
      'GET /v1/webhooks/whk_1/deliveries': [200, { items: [delivery], next: '7' }],
    });
    const { out } = await run('deliveries', 'whk_1', '--state', 'pending');
    expect(out).toContain(
      'whd_1  1970-01-01 00:00:00  pending  2      assay.model.created.v1  mdl_1    it answered 500',
    );
    expect(out).toContain('More: --after 7');
  });

  test('test fails where the receiver did not take it', async () => {
    const { run } = await services({
      'POST /v1/webhooks/whk_1/test': [200, { ...delivery, state: 'failed' }],
    });
    const { code, out, err } = await run('test', 'whk_1');
    expect([code, out]).toEqual([3, '']);
    expect(err).toContain('the receiver did not take it: it answered 500');
  });
});
