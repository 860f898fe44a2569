import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import type { KeySnapshot } from '@assay/contracts';
import { openDatabaseEventBus } from '@assay/events';
import { formatKeyText, newSecret, secretSha256 } from '@assay/http';
import type { Launcher, LaunchRequest } from '@assay/jobs';
import { createLogger, loadConfig } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainingConfig } from './config.ts';
import { createTraining } from './service.ts';
import { customerSpec, settings, temporaryFolder } from './training-under-test.ts';

interface MadeKey {
  readonly text: string;
  readonly entry: KeySnapshot['keys'][number];
}

function makeKey(id: string, scopes: string[]): MadeKey {
  const secret = newSecret();
  const principal = { principalId: `prn_${id}`, principalName: id, principalKind: 'service' as const };
  return {
    text: formatKeyText({ id, secret }),
    entry: { id, secretSha256: secretSha256(secret), ...principal, scopes },
  };
}

const own = makeKey('key_training', ['read', 'register', 'promote']);
const trainer = makeKey('key_trainer', ['train']);
const promoter = makeKey('key_promoter', ['train', 'promote']);
const reader = makeKey('key_reader', ['read']);

const opened = new AsyncDisposableStack();
const calls: { line: string; authorization: string | undefined; body: string }[] = [];
const launches = new Map<string, LaunchRequest>();
let url: string;

/** Jobs are launched and never end: the test is the job. */
const launcher: Launcher = {
  async launch(request) {
    launches.set(request.id, request);
  },
  observe: async (id) => (launches.has(id) ? { state: 'running', startedAtMs: 0 } : { state: 'absent' }),
  async cancel(id) {
    launches.delete(id);
  },
  async *logs() {},
  onChange: () => () => {},
};

beforeAll(async () => {
  const registry = createServer(
    (request, response) =>
      void answer(request).then(([status, body]) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(request.method === 'HEAD' || body === undefined ? undefined : JSON.stringify(body));
      }),
  );
  async function answer(request: IncomingMessage): Promise<[number, unknown]> {
    const path = new URL(request.url ?? '/', 'http://registry').pathname;
    if (path === '/v1/keys/snapshot') {
      if (request.url?.includes('after=1')) await new Promise((resolve) => setTimeout(resolve, 50));
      const keys = [own, trainer, promoter, reader].map(({ entry }) => entry);
      return request.url?.includes('after=1') ? [204, undefined] : [200, { revision: 1, keys }];
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    calls.push({ line: `${request.method} ${request.url}`, authorization: request.headers.authorization, body });
    return path.endsWith('/aliases/champion') ? [409, { error: 'theirs' }] : [201, { path }];
  }
  registry.listen(0, '127.0.0.1');
  await once(registry, 'listening');
  opened.defer(() => {
    registry.close();
    registry.closeAllConnections();
  });
  const dataDir = await temporaryFolder(opened);
  const { port } = registry.address() as AddressInfo; // listening on TCP
  const log = createLogger({ service: 'training', level: 'silent' });
  const bus = await openDatabaseEventBus({ url: `sqlite:${join(dataDir, 'events.sqlite')}`, log });
  opened.defer(() => bus.close());
  const config = loadConfig(trainingConfig, {
    env: { ASSAY_SERVICE_KEY: own.text },
    flags: { ...settings(dataDir, `http://127.0.0.1:${port}`), maxConcurrentJobs: 100 },
  });
  const service = await createTraining(config, { bus, log, launcher });
  opened.defer(() => service.close());
  await service.start();
  url = service.addresses.http ?? '';
});
afterAll(() => opened.disposeAsync());

async function call(token: string | undefined, method: string, path: string, body?: string | object) {
  const response = await fetch(path.startsWith('http') ? path : `${url}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined
        ? {}
        : { 'content-type': typeof body === 'string' ? 'application/octet-stream' : 'application/json' }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

const spec = customerSpec('/data/customers.csv');
const withAlias = { ...spec, register: { alias: 'champion' } };
const withoutAlias = (({ register: _, ...rest }) => rest)(withAlias);

/** A running job: its token, and where it finds the registry. */
async function runningJob(of: object = withAlias): Promise<{ id: string; token: string; registry: string }> {
  const { body } = await call(promoter.text, 'POST', '/v1/jobs', { spec: of });
  expect(body).toMatchObject({ id: expect.stringMatching(/^job_/) });
  const launchOf = () => [...launches.values()].find((one) => JSON.stringify(one.spec).includes(body.id));
  await expect.poll(launchOf, { timeout: 10_000 }).toBeDefined();
  const launch = launchOf();
  const { registryUrl } = (launch?.spec ?? {}) as { registryUrl: string }; // what prepareLaunch hands to the job
  return { id: body.id, token: launch?.environment?.ASSAY_JOB_TOKEN ?? '', registry: registryUrl };
}

describe('the scopes of training', () => {
  it('are train to create and cancel, and read or train to see', async () => {
    for (const [method, path] of [
      ['POST', '/v1/jobs'],
      ['GET', '/v1/jobs'],
      ['GET', '/v1/jobs/j'],
      ['GET', '/v1/jobs/j/logs'],
    ] as const) {
      expect([method, path, (await call(undefined, method, path)).status]).toEqual([method, path, 401]);
    }
    expect((await call(reader.text, 'POST', '/v1/jobs', { spec: withoutAlias })).status).toBe(403);
    expect((await call(trainer.text, 'POST', '/v1/jobs', { spec: withoutAlias })).status).toBe(201);
    expect((await call(reader.text, 'GET', '/v1/jobs')).status).toBe(200);
    expect((await call(reader.text, 'POST', '/v1/jobs/j/cancel')).status).toBe(403);
    expect((await call(trainer.text, 'POST', '/v1/jobs/j/cancel')).status).toBe(404);
  });

  it('let nobody promote by way of a job who may not promote', async () => {
    const refused = await call(trainer.text, 'POST', '/v1/jobs', { spec: withAlias });
    expect(refused).toMatchObject({
      status: 403,
      body: { error: { message: expect.stringContaining('moving champion needs the scope promote') } },
    });
    expect((await call(promoter.text, 'POST', '/v1/jobs', { spec: withAlias })).status).toBe(201);
  });
});

describe('a running job', () => {
  it('holds a token and no key', async () => {
    const job = await runningJob();
    const launch = JSON.stringify([...launches.values()]);
    expect(job.token.length).toBeGreaterThan(40);
    expect(launch).not.toContain(own.text.slice(-43));
    const specs = JSON.stringify([...launches.values()].map((one) => one.spec));
    expect(specs).not.toContain(job.token);
  });

  it('reaches what it needs of the registry with it, under the key of the service', async () => {
    const { token, registry } = await runningJob();
    const sha256 = '0'.repeat(64);
    calls.length = 0;
    expect((await call(token, 'POST', `${registry}/v1/models`, { name: 'customers' })).body).toEqual({
      path: '/v1/models',
    });
    expect((await call(token, 'HEAD', `${registry}/v1/blobs/${sha256}`)).status).toBe(201);
    expect((await call(token, 'PUT', `${registry}/v1/blobs/${sha256}`, 'b'.repeat(1_000_000))).status).toBe(201);
    expect((await call(token, 'POST', `${registry}/v1/models/customers/versions`, { files: [] })).status).toBe(201);
    const answer = await call(token, 'PUT', `${registry}/v1/models/customers/aliases/champion`, { version: 1 });
    expect(answer).toEqual({ status: 409, body: { error: 'theirs' } });
    expect(calls.map(({ line }) => line)).toEqual([
      'POST /v1/models',
      `HEAD /v1/blobs/${sha256}`,
      `PUT /v1/blobs/${sha256}`,
      'POST /v1/models/customers/versions',
      'PUT /v1/models/customers/aliases/champion',
    ]);
    expect(new Set(calls.map(({ authorization }) => authorization))).toEqual(new Set([`Bearer ${own.text}`]));
    expect(calls[0]?.body).toBe('{"name":"customers"}');
    expect(calls[2]?.body.length).toBe(1_000_000);
  });

  it.each([
    ['GET', '/v1/keys'],
    ['POST', '/v1/keys'],
    ['GET', '/v1/keys/snapshot'],
    ['GET', '/v1/audit'],
    ['GET', '/v1/models'],
    ['GET', '/v1/models/others'],
    ['POST', '/v1/models/others/versions'],
    ['PUT', '/v1/models/customers/aliases/challenger'],
    ['PUT', '/v1/models/others/aliases/champion'],
    ['PUT', '/v1/endpoints/customers'],
    ['GET', '/v1/models/customers?x=1'],
    ['GET', '/v1/models/customers%2f..%2f..%2fkeys'],
  ])('reaches nothing else: %s %s', async (method, path) => {
    const { token, registry } = await runningJob();
    calls.length = 0;
    const { status } = await call(token, method, `${registry}${path}`, method === 'GET' ? undefined : {});
    expect([400, 403]).toContain(status);
    expect(calls).toEqual([]);
  });

  it('does not climb out of its path', async () => {
    const { id, token } = await runningJob();
    calls.length = 0;
    const target = new URL(url);
    for (const path of [
      '/v1/models/customers/../../keys',
      '//evil.example/v1/models',
      '/../../../v1/keys',
      '/v1/models/../keys',
    ]) {
      const socket = connect(Number(target.port), target.hostname);
      socket.write(
        `GET /v1/jobs/${id}/registry${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`,
      );
      let text = '';
      for await (const chunk of socket) text += chunk;
      expect([path, /^HTTP\/1\.1 (403|404|400)/.test(text)]).toEqual([path, true]);
    }
    expect(calls).toEqual([]);
  });

  it('does not get in with another token, a key, or none, nor once it has ended', async () => {
    const [one, other] = [await runningJob(), await runningJob()];
    calls.length = 0;
    for (const token of [other.token, own.text, promoter.text, undefined, 'x']) {
      expect((await call(token, 'POST', `${one.registry}/v1/models`, { name: 'm' })).status).toBe(401);
    }
    expect((await call(one.token, 'GET', '/v1/jobs')).status).toBe(401);
    await call(promoter.text, 'POST', `/v1/jobs/${one.id}/cancel`);
    const ended = async () => (await call(one.token, 'POST', `${one.registry}/v1/models`, { name: 'm' })).status;
    await expect.poll(ended, { timeout: 10_000 }).toBe(412);
    expect(calls.every(({ line }) => line === 'POST /v1/models')).toBe(true);
  });
});
