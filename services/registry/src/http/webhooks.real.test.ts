import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type {
  AuditEntry,
  AuditVerification,
  Endpoint,
  Model,
  Page,
  Version,
  Webhook,
  WebhookDelivery,
  WebhookWithSecret,
} from '@assay/contracts';
import { entryUrl, nodeArguments } from '@assay/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makePackage, type RegistryUnderTest, startRegistry } from '../registry-under-test.ts';
import { openRegistryDatabase } from '../service.ts';
import { databaseUrlOf } from '../testing/database.ts';
import { answering, type Received, type Receiver, startReceiver } from '../webhooks/receiver-under-test.ts';
import { makeBoxKey } from '../webhooks/secret-box.ts';

const LOOPBACK = ['127.0.0.0/8'];
/** A retry takes a second, and tests share two cores. */
const SOON = { timeout: 20_000 };

let keyDir: string;
let keyFile: string;
let registry: RegistryUnderTest;
let receiver: Receiver;
beforeAll(async () => {
  keyDir = await mkdtemp(join(tmpdir(), 'assay-webhooks-'));
  keyFile = join(keyDir, 'webhook-key');
  await makeBoxKey(keyFile);
  registry = await startWithWebhooks();
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await rm(keyDir, { recursive: true, force: true });
});
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(async () => {
  const { body } = await registry.call<Page<Webhook>>('GET', '/v1/webhooks');
  for (const { id, revision } of body.items)
    await registry.call('DELETE', `/v1/webhooks/${id}?expectedRevision=${revision}`);
  await receiver[Symbol.asyncDispose]();
});

function startWithWebhooks(
  options: { dir?: string; flags?: Record<string, unknown> } = {},
): Promise<RegistryUnderTest> {
  const flags = { webhookKeyFile: keyFile, webhookAllowedNetworks: LOOPBACK, ...options.flags };
  return startRegistry({ ...options, flags, deps: { checkPackage: async () => {} } });
}

async function makeWebhook(body: Record<string, unknown> = {}, on = registry): Promise<WebhookWithSecret> {
  const made = await on.call<WebhookWithSecret>('POST', '/v1/webhooks', { url: receiver.url, ...body });
  expect(made.status).toBe(201);
  return made.body;
}

let names = 0;
async function newModel(on = registry): Promise<Model> {
  return (await on.call<Model>('POST', '/v1/models', { name: `model-${++names}` })).body;
}

async function describeModel(model: Model, revision: number, description: string, on = registry): Promise<void> {
  const body = { expectedRevision: revision, description };
  expect((await on.call('PATCH', `/v1/models/${model.id}`, body)).status).toBe(200);
}

const path = ({ webhook }: WebhookWithSecret, rest = ''): string => `/v1/webhooks/${webhook.id}${rest}`;

async function webhookNow(made: WebhookWithSecret, on = registry): Promise<Webhook> {
  return (await on.call<Webhook>('GET', path(made))).body;
}

async function deliveriesOf(made: WebhookWithSecret, query = '', on = registry): Promise<WebhookDelivery[]> {
  return (await on.call<Page<WebhookDelivery>>('GET', path(made, `/deliveries${query}`))).body.items;
}

function signatureOf(secret: string, { headers, body }: Received): string {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const text = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  return `v1,${createHmac('sha256', key).update(text).digest('base64')}`;
}

describe('making a webhook', () => {
  it('shows its secret this once: no answer, table or audit entry has it later', async () => {
    const made = await makeWebhook({ events: ['assay.model.created.v1'], description: 'chat' });
    expect(made).toMatchObject({
      secret: expect.stringMatching(/^whsec_/),
      webhook: { url: receiver.url, events: ['assay.model.created.v1'], models: [], enabled: true, revision: 1 },
    });
    expect(await webhookNow(made)).toEqual(made.webhook);
    const list = await registry.call<Page<Webhook>>('GET', '/v1/webhooks');
    expect(list.body.items).toEqual([made.webhook]);
    await using database = await openRegistryDatabase(databaseUrlOf(registry.dir));
    const rows = await database.db.selectFrom('webhooks').selectAll().execute();
    const resource = encodeURIComponent(`webhook/${made.webhook.id}`);
    const { items } = (await registry.call<Page<AuditEntry>>('GET', `/v1/audit?resource=${resource}`)).body;
    expect(items).toMatchObject([{ action: 'webhook.create', principal: 'local', details: { url: receiver.url } }]);
    const bytes = made.secret.replace('whsec_', '');
    expect(JSON.stringify([rows, items, list.body])).not.toContain(bytes);
  });

  it.each([
    [{ url: 'http://example.com/' }, 'http is not encrypted'],
    [{ url: 'https://10.0.0.1/' }, 'no public address'],
    [{ events: ['assay.model.renamed.v1'] }, 'events[0]'],
    [{ models: ['nobody'] }, 'models[0]: there is no model "nobody"'],
    [{ secret: 'mine' }, 'secret'],
  ])('is refused for %j', async (body, why) => {
    const refused = await registry.fails('POST', '/v1/webhooks', { url: receiver.url, ...body });
    expect([refused.status, refused.body.error.code]).toEqual([400, 'INVALID_ARGUMENT']);
    expect(refused.body.error.message).toContain(why);
  });

  it('is refused where nothing can seal its secret', async () => {
    await using plain = await startRegistry();
    const refused = await plain.fails('POST', '/v1/webhooks', { url: 'https://example.com/' });
    expect([refused.status, refused.body.error.code]).toEqual([412, 'FAILED_PRECONDITION']);
    expect(refused.body.error.message).toContain('ASSAY_REGISTRY_WEBHOOK_KEY_FILE');
  });
});

describe('changing a webhook', () => {
  it('names the revision that it saw', async () => {
    const made = await makeWebhook();
    const changed = await registry.call<Webhook>('PATCH', path(made), { expectedRevision: 1, description: 'new' });
    expect(changed.body).toMatchObject({ description: 'new', revision: 2, url: receiver.url });
    const late = await registry.fails('PATCH', path(made), { expectedRevision: 1, description: 'other' });
    expect([late.status, late.body.error.code]).toEqual([409, 'STALE_REVISION']);
    expect((await registry.fails('DELETE', path(made, '?expectedRevision=1'))).status).toBe(409);
    const refused = await registry.fails('PATCH', path(made), { expectedRevision: 2, url: 'https://[::1]/' });
    expect(refused.status).toBe(400);
    expect((await registry.call('DELETE', path(made, '?expectedRevision=2'))).status).toBe(204);
    expect((await registry.fails('GET', path(made))).status).toBe(404);
  });

  it('with another secret, signs with both for a while', async () => {
    const made = await makeWebhook();
    const replaced = (await registry.call<WebhookWithSecret>('POST', path(made, '/secret'))).body;
    await registry.call('POST', path(made, '/test'));
    const [ping] = receiver.received;
    if (ping === undefined) throw new Error('nothing was received');
    expect(ping.headers['webhook-signature']).toBe(
      `${signatureOf(replaced.secret, ping)} ${signatureOf(made.secret, ping)}`,
    );
  });
});

describe('a webhook gets', () => {
  it('the events of the registry as they were published, signed, in order', async () => {
    const made = await makeWebhook();
    const model = await newModel();
    await describeModel(model, 1, 'one');
    await describeModel(model, 2, 'two');
    await expect.poll(() => receiver.received.length, SOON).toBe(3);
    expect(receiver.types()).toEqual(['assay.model.created.v1', 'assay.model.updated.v1', 'assay.model.updated.v1']);
    expect(receiver.received.map(({ event }) => event.sequence)).toEqual([1, 2, 3]);
    for (const one of receiver.received) {
      expect(one.event).toMatchObject({ specversion: '1.0', subject: model.id, data: { id: model.id } });
      expect(one.headers).toMatchObject({
        ...{ 'content-type': 'application/json', 'webhook-id': one.event.id },
        'webhook-signature': signatureOf(made.secret, one),
        'x-mlflow-delivery-id': one.event.id,
        'user-agent': expect.stringMatching(/^assay\//),
      });
      expect(Math.abs(Number(one.headers['webhook-timestamp']) * 1000 - Date.now())).toBeLessThan(60_000);
    }
    await expect.poll(async () => (await webhookNow(made)).pending).toBe(0);
    expect(await deliveriesOf(made)).toMatchObject([
      { state: 'delivered', attempts: 1, status: 200, subject: model.id },
      { state: 'delivered' },
      { state: 'delivered', eventId: receiver.received[0]?.event.id, eventType: 'assay.model.created.v1' },
    ]);
  });

  it('the trace of the change, in the headers as in the event', async () => {
    const made = await makeWebhook({ events: ['assay.model.created.v1'] });
    const [traceId, tracestate] = ['4bf92f3577b34da6a3ce929d0e0e4736', 'congo=t61rcWkgMzE,rojo=00f067aa0ba902b7'];
    const traced = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, tracestate };
    for (const headers of [traced, { traceparent: 'malformed', tracestate }]) {
      const answer = await fetch(`${registry.url}/v1/models`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ name: `model-${++names}` }),
      });
      expect(answer.status).toBe(201);
    }
    expect((await fetch(`${registry.url}${path(made, '/test')}`, { method: 'POST', headers: traced })).status).toBe(
      200,
    );
    await expect.poll(() => receiver.received.length, SOON).toBe(3);
    const byType = (type: string) => receiver.received.filter(({ event }) => event.type === type);
    const of = ({ headers: { traceparent, tracestate } }: Received) => ({ traceparent, tracestate });
    const child = expect.stringMatching(new RegExp(`^00-${traceId}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`));
    const [created, untraced] = byType('assay.model.created.v1').toSorted((a, b) =>
      String(a.headers.tracestate).localeCompare(String(b.headers.tracestate)),
    );
    const [ping] = byType('assay.webhook.ping.v1');
    if (created === undefined || untraced === undefined || ping === undefined) throw new Error('three were received');
    for (const one of [created, ping]) expect(of(one)).toEqual({ traceparent: child, tracestate });
    // What is malformed is ignored, its state too: a trace begins that nobody records.
    expect(of(untraced)).toEqual({ traceparent: expect.stringMatching(/^00-(?!4bf9)[0-9a-f]{32}-[0-9a-f]{16}-00$/) });
    for (const one of receiver.received)
      expect(of(one)).toEqual(expect.objectContaining({ traceparent: one.event.traceparent }));
  });

  it('only the types and models that it asks for, with the endpoints that serve them', async () => {
    const [wanted, other] = [await newModel(), await newModel()];
    const versions: Version[] = [];
    for (const model of [wanted, other])
      versions.push((await registry.register(model.name, await makePackage({ adds: names }))).body);
    await makeWebhook({
      models: [wanted.name],
      events: ['assay.model.alias-moved.v1', 'assay.endpoint.created.v1'],
    });
    for (const model of [other, wanted])
      await registry.call('PUT', `/v1/models/${model.name}/aliases/champion`, { version: 1, expectedRevision: 0 });
    const variants = [{ versionId: versions[0]?.id, weight: 10_000 }];
    await registry.call<Endpoint>('PUT', `/v1/endpoints/of-${wanted.name}`, { variants, expectedRevision: 0 });
    await expect.poll(() => receiver.received.length, SOON).toBe(3);
    expect(receiver.received.map(({ event }) => [event.type, event.data])).toEqual(
      expect.arrayContaining([
        ['assay.model.alias-moved.v1', expect.objectContaining({ id: wanted.id })],
        ['assay.endpoint.created.v1', expect.objectContaining({ name: wanted.name })],
        ['assay.endpoint.created.v1', expect.objectContaining({ name: `of-${wanted.name}` })],
      ]),
    );
  });

  it('an event again, with the same id, until it takes it, and then those behind it; other models go on meanwhile', async () => {
    const made = await makeWebhook();
    const [stuck, free] = [await newModel(), await newModel()];
    await expect.poll(() => receiver.received.length, SOON).toBe(2);
    let failures = 2;
    receiver.answer = (response, { event }) =>
      event.subject === stuck.id && failures-- > 0
        ? response.writeHead(503, { 'retry-after': '0' }).end('not now')
        : response.end();
    await describeModel(stuck, 1, 'fails');
    await describeModel(stuck, 2, 'waits');
    await describeModel(free, 1, 'goes on');
    await expect.poll(async () => (await deliveriesOf(made, '?state=pending')).length, SOON).toBe(0);
    const told = (model: Model) =>
      receiver.received.filter(({ event }) => event.subject === model.id).map(({ event }) => event.sequence);
    expect(told(stuck)).toEqual([1, 2, 2, 2, 3]);
    expect(told(free)).toEqual([1, 2]);
    const tries = receiver.received.filter(({ event }) => event.subject === stuck.id && event.sequence === 2);
    expect(new Set(tries.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(new Set(tries.map(({ headers }) => headers['webhook-timestamp'])).size).toBeGreaterThan(1);
    const order = receiver.received.map(({ event }) => `${event.subject} ${event.sequence}`);
    expect(order.indexOf(`${free.id} 2`)).toBeLessThan(order.indexOf(`${stuck.id} 3`));
    const log = await deliveriesOf(made);
    expect(log.find(({ attempts }) => attempts > 1)).toMatchObject({ attempts: 3, state: 'delivered', status: 200 });
  });

  it('nothing of a change that did not happen', async () => {
    await makeWebhook();
    const model = await newModel();
    expect((await registry.fails('POST', '/v1/models', { name: model.name })).status).toBe(409);
    const stale = { expectedRevision: 7, description: 'stale' };
    expect((await registry.fails('PATCH', `/v1/models/${model.id}`, stale)).status).toBe(409);
    await describeModel(model, 1, 'right');
    await expect.poll(() => receiver.received.length, SOON).toBe(2);
    expect(receiver.received.map(({ event }) => event.sequence)).toEqual([1, 2]);
  });
});

describe('a receiver that does not take it', () => {
  it('is given up after a time: the webhook says so, and goes on in order when it is enabled again', async () => {
    await using short = await startWithWebhooks({ flags: { webhookGiveUpMs: 1 } });
    const behind = Promise.withResolvers<void>();
    receiver.answer = (response) => void behind.promise.then(() => answering(500)(response));
    const made = await makeWebhook({}, short);
    const model = await newModel(short);
    await describeModel(model, 1, 'waits behind', short);
    behind.resolve();
    await expect.poll(async () => (await webhookNow(made, short)).enabled, SOON).toBe(false);
    const { disabledReason, revision, pending } = await webhookNow(made, short);
    expect(disabledReason).toMatch(/^delivery whd_\w+ has failed \d times since .*: it answered 500$/);
    expect(pending).toBe(2);
    const resource = encodeURIComponent(`webhook/${made.webhook.id}`);
    const { items } = (await short.call<Page<AuditEntry>>('GET', `/v1/audit?resource=${resource}`)).body;
    expect(items.at(-1)).toMatchObject({ action: 'webhook.disable', principal: 'webhooks' });
    await describeModel(model, 2, 'is not queued', short);

    receiver.answer = answering(200);
    receiver.received.splice(0);
    await short.call('PATCH', path(made), { expectedRevision: revision, enabled: true });
    await expect.poll(async () => (await webhookNow(made, short)).pending, SOON).toBe(0);
    expect(receiver.received.map(({ event }) => event.sequence)).toEqual([1, 2]);
    await describeModel(model, 3, 'new', short);
    await expect.poll(() => receiver.received.at(-1)?.event.sequence, SOON).toBe(4);
    expect((await short.call<AuditVerification>('GET', '/v1/audit/verify')).body.valid).toBe(true);
  });

  it('is left alone at once when it says that it is gone', async () => {
    receiver.answer = answering(410);
    const made = await makeWebhook();
    await newModel();
    await expect.poll(async () => (await webhookNow(made)).disabledReason, SOON).toContain('410');
    expect(receiver.received).toHaveLength(1);
  });

  it('holds up no other one', async () => {
    await using silent = await startReceiver();
    silent.answer = () => {}; // never
    await makeWebhook({ url: silent.url });
    await makeWebhook();
    const model = await newModel();
    await expect.poll(() => silent.received.length, SOON).toBe(1);
    await describeModel(model, 1, 'one');
    await describeModel(model, 2, 'two');
    await expect.poll(() => receiver.received.length, SOON).toBe(3);
    expect(silent.received).toHaveLength(1);
  });

  it('is told of in the log: why, and the beginning of what it answered', async () => {
    const made = await makeWebhook();
    receiver.answer = (response) => void response.writeHead(400).end(`\0${'x'.repeat(100_000)}`);
    await newModel();
    await expect.poll(async () => (await deliveriesOf(made, '?state=pending'))[0]?.attempts, SOON).toBeGreaterThan(0);
    const [failing] = await deliveriesOf(made);
    expect(failing).toMatchObject({ state: 'pending', status: 400, error: 'it answered 400' });
    expect(failing?.nextAttemptAt).toBeGreaterThan(failing?.lastAttemptAt ?? Number.POSITIVE_INFINITY);
    expect(failing?.response).toMatch(/^x+$/);
    expect(failing?.response?.length).toBeLessThan(1025);
    const refused = await registry.fails('POST', path(made, `/deliveries/${failing?.id}/replay`));
    expect([refused.status, refused.body.error.message]).toEqual([412, expect.stringContaining('still waits')]);
  });
});

describe('the log of deliveries', () => {
  it('is paged, newest first, and gives any of them again with the same id', async () => {
    const made = await makeWebhook();
    for (let i = 0; i < 5; i += 1) await newModel();
    await expect.poll(async () => (await deliveriesOf(made, '?state=delivered')).length, SOON).toBe(5);
    const seen: WebhookDelivery[] = [];
    for (let after = '', pages = 0; pages < 4; pages += 1) {
      const { body } = await registry.call<Page<WebhookDelivery>>('GET', path(made, `/deliveries?limit=2${after}`));
      seen.push(...body.items);
      if (body.next === undefined) break;
      after = `&after=${body.next}`;
    }
    const all = await deliveriesOf(made);
    expect(seen).toEqual(all);
    expect(new Set(all.map(({ id }) => id)).size).toBe(5);

    const [, , third] = all;
    receiver.received.splice(0);
    const again = await registry.call<WebhookDelivery>('POST', path(made, `/deliveries/${third?.id}/replay`));
    expect([again.status, again.body]).toEqual([
      202,
      expect.objectContaining({ eventId: third?.eventId, replayOf: third?.id, state: 'pending' }),
    ]);
    await expect
      .poll(() => receiver.received.map(({ headers }) => headers['webhook-id']), SOON)
      .toEqual([third?.eventId]);
    expect((await registry.fails('POST', path(made, '/deliveries/whd_none/replay'))).status).toBe(404);
  });
});

describe('what is kept is bounded', () => {
  it('more that wait than there may be disable a webhook, and the log forgets what was delivered long ago', async () => {
    const begun = await startWithWebhooks();
    const restart = (flags: Record<string, unknown>) => startWithWebhooks({ dir: begun.dir, flags });
    try {
      const made = await makeWebhook({}, begun);
      await newModel(begun);
      await expect.poll(async () => (await webhookNow(made, begun)).pending, SOON).toBe(0);
      receiver.answer = answering(500);
      for (let i = 0; i < 3; i += 1) await newModel(begun);
      await begun.stop();
      {
        await using patient = await restart({ webhookMaxPending: 3 });
        await expect.poll(() => receiver.received.length, SOON).toBeGreaterThan(4);
        expect((await webhookNow(made, patient)).enabled).toBe(true);
        expect(await deliveriesOf(made, '?state=delivered', patient)).toHaveLength(1);
      }
      await using strict = await restart({ webhookMaxPending: 2, webhookRetentionMs: 1 });
      await expect
        .poll(async () => (await webhookNow(made, strict)).disabledReason, SOON)
        .toContain('more than 2 events');
      await expect.poll(() => deliveriesOf(made, '?state=delivered', strict), SOON).toEqual([]);
      expect((await webhookNow(made, strict)).pending).toBe(3);
    } finally {
      await begun[Symbol.asyncDispose]();
    }
  });
});

describe('a test of a webhook', () => {
  it('tells what came of it, of one that is not enabled too', async () => {
    const made = await makeWebhook();
    await registry.call('PATCH', path(made), { expectedRevision: 1, enabled: false });
    expect((await webhookNow(made)).disabledReason).toBe('turned off by local');
    const test = async () => (await registry.call<WebhookDelivery>('POST', path(made, '/test'))).body;
    expect(await test()).toMatchObject({ state: 'delivered', status: 200, eventType: 'assay.webhook.ping.v1' });
    receiver.answer = answering(302);
    expect(await test()).toMatchObject({ state: 'failed', status: 302, error: expect.stringContaining('redirects') });
    expect((await deliveriesOf(made, '?state=failed')).length).toBe(1);
    expect(receiver.types()).toEqual(['assay.webhook.ping.v1', 'assay.webhook.ping.v1']);
  });

  it('fails for a name whose address is not permitted, and for who does not answer in time', async () => {
    await using strict = await startWithWebhooks({ flags: { webhookAllowedNetworks: [], webhookTimeoutMs: 300 } });
    const inside = await makeWebhook({ url: 'https://localhost:9/' }, strict);
    const test = async (made: WebhookWithSecret, on: RegistryUnderTest) =>
      (await on.call<WebhookDelivery>('POST', path(made, '/test'))).body;
    expect(await test(inside, strict)).toMatchObject({
      state: 'failed',
      error: expect.stringMatching(/localhost is (127\.0\.0\.1|::1), which is no public address/),
    });
    await using slow = await startWithWebhooks({ flags: { webhookTimeoutMs: 300 } });
    receiver.answer = (response) => void response.writeHead(200).write('a'); // and never the rest
    expect(await test(await makeWebhook({}, slow), slow)).toMatchObject({
      state: 'failed',
      error: 'there was no whole answer within 300 ms',
    });
  });
});

describe('a registry that is killed', () => {
  const started: ChildProcess[] = [];
  afterEach(() => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
  });

  async function startProcess(dir: string): Promise<{ child: ChildProcess; call: RegistryUnderTest['call'] }> {
    const entry = fileURLToPath(entryUrl('services/registry', 'registry'));
    const child = spawn(process.execPath, [...nodeArguments(), entry], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...{ ASSAY_DATA_DIR: dir, ASSAY_LOG_LEVEL: 'silent', ASSAY_REGISTRY_PORT: '0' },
        ...{ ASSAY_REGISTRY_DATABASE_URL: databaseUrlOf(dir), ASSAY_REGISTRY_WEBHOOK_KEY_FILE: keyFile },
        ASSAY_REGISTRY_WEBHOOK_ALLOWED_NETWORKS: LOOPBACK.join(','),
      },
    });
    started.push(child);
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve);
      child.once('exit', () => reject(new Error('the registry ended before it listened')));
    });
    const url = /http:\S+/.exec(line)?.[0] ?? '';
    return {
      child,
      async call<T>(method: string, at: string, body?: unknown) {
        const headers = { 'content-type': 'application/json' };
        const response = await fetch(`${url}${at}`, {
          method,
          ...(body === undefined ? {} : { body: JSON.stringify(body), headers }),
        });
        return { status: response.status, headers: response.headers, body: (await response.json()) as T }; // as documented
      },
    };
  }

  it('between a delivery and its mark delivers it again, with the same id, and loses none behind it', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'assay-killed-webhook-'));
    try {
      const { child, call } = await startProcess(dir);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      const made = (await call<WebhookWithSecret>('POST', '/v1/webhooks', { url: receiver.url })).body;
      const holding = new Promise<void>((resolve) => {
        receiver.answer = () => resolve(); // it has the event, and does not answer
      });
      const model = (await call<Model>('POST', '/v1/models', { name: 'm' })).body;
      await holding;
      for (const revision of [1, 2]) {
        const body = { expectedRevision: revision, description: `${revision}` };
        expect((await call('PATCH', `/v1/models/${model.id}`, body)).status).toBe(200);
      }
      child.kill('SIGKILL'); // the receiver has the event, and the registry does not know
      await ended;
      receiver.answer = answering(200);

      const { call: callAgain } = await startProcess(dir);
      const states = async () =>
        (await callAgain<Page<WebhookDelivery>>('GET', path(made, '/deliveries'))).body.items.map(({ state }) => state);
      await expect.poll(states, SOON).toEqual(['delivered', 'delivered', 'delivered']);
      expect(receiver.received.map(({ event }) => event.sequence)).toEqual([1, 1, 2, 3]);
      const [first, second] = receiver.received;
      expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
      expect(second?.body).toBe(first?.body);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }, 60_000);
});
