import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KeySnapshot } from '@assay/contracts';
import { formatKeyText, newSecret, secretSha256 } from '@assay/http';
import { loadConfig } from '@assay/runtime';
import { describe, expect, it } from 'vitest';
import { type InferenceConfig, inferenceConfig } from './config.ts';
import { type InferenceUnderTest, serveRegistry, temporaryFolder } from './inference-under-test.ts';

type Key = KeySnapshot['keys'][number];

function makeKey(id: string, scopes: string[], endpoints?: string[]): { text: string; entry: Key } {
  const secret = newSecret();
  const principal = { principalId: `prn_${id}`, principalName: id, principalKind: 'service' as const };
  const limits = endpoints === undefined ? {} : { endpoints };
  return {
    text: formatKeyText({ id, secret }),
    entry: { id, secretSha256: secretSha256(secret), ...principal, scopes, ...limits },
  };
}

const own = makeKey('key_inference', ['read']);
const scorer = makeKey('key_scorer', ['score']);
const limited = makeKey('key_limited', ['score'], ['churn']);
const reader = makeKey('key_reader', ['read']);

/** What this service asks a registry for, and the keys that it was asked with. */
async function startRegistry() {
  let keys = [own, scorer, limited, reader].map(({ entry }) => entry);
  let revision = 1;
  const shown = new Set<string | undefined>();
  const server = createServer((request, response) => {
    shown.add(request.headers.authorization);
    const url = new URL(request.url ?? '/', 'http://registry');
    const after = Number(url.searchParams.get('after') ?? -1);
    const json = (body: unknown) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (url.pathname === '/v1/routing') return void json({ revision: 1, endpoints: [], versions: [] });
    if (after !== revision) return void json({ revision, keys } satisfies KeySnapshot);
    setTimeout(() => response.writeHead(204).end(), Math.min(50, Number(url.searchParams.get('waitMs'))));
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo; // listening on TCP
  const goAway = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    shown,
    revoke(id: string) {
      keys = keys.filter((key) => key.id !== id);
      revision++;
    },
    goAway,
    comeBack: () => listen(port),
    [Symbol.asyncDispose]: () => (server.listening ? goAway() : Promise.resolve()),
  };
}

/** Through a config, as the environment gives it: the key is a secret there. */
function keyed(
  dir: string,
  registryUrl: string,
  overrides: Partial<InferenceConfig> = {},
): Promise<InferenceUnderTest> {
  const { serviceKey } = loadConfig(inferenceConfig, { env: { ASSAY_SERVICE_KEY: own.text } });
  return serveRegistry(dir, registryUrl, {}, { serviceKey, ...overrides });
}

const bearer = ({ text }: { text: string }) => ({ authorization: `Bearer ${text}` });

describe.each([true, false])('scoring with keys, by the lane: %s', (lane) => {
  it('lets a key score where its scope and its endpoints allow it, by both protocols', async () => {
    await using dir = await temporaryFolder();
    await using registry = await startRegistry();
    await using inference = await keyed(dir.path, registry.url, { lane, host: '0.0.0.0' });
    const score = (endpoint: string, headers?: Record<string, string>) =>
      inference.post(`/v1/endpoints/${endpoint}/score`, { records: [{}] }, headers).then(({ status }) => status);
    const infer = (endpoint: string, headers?: Record<string, string>) =>
      inference.post(`/v2/models/${endpoint}/infer`, { inputs: [] }, headers);
    // There are no endpoints: 404 is said to whoever may ask.
    expect(await score('churn')).toBe(401);
    expect(await score('churn', bearer(reader))).toBe(403);
    expect(await score('churn', bearer(scorer))).toBe(404);
    expect(await score('churn', bearer(limited))).toBe(404);
    expect(await score('fraud', bearer(limited))).toBe(403);
    expect((await infer('fraud', bearer(scorer))).status).toBe(404);
    expect((await infer('fraud', bearer(limited))).body).toEqual({
      error: 'key key_limited of key_limited may not score "fraud"; it is limited to churn',
    });
    expect((await infer('fraud')).status).toBe(401);
    expect((await inference.get('/v1/endpoints')).status).toBe(401);
    for (const path of ['/livez', '/v2', '/v2/health/live', '/v2/health/ready']) {
      expect([path, (await inference.get(path)).status]).not.toEqual([path, 401]);
    }
    expect([...registry.shown]).toEqual([`Bearer ${own.text}`]);
  });

  it('refuses a revoked key within seconds', async () => {
    await using dir = await temporaryFolder();
    await using registry = await startRegistry();
    await using inference = await keyed(dir.path, registry.url, { lane });
    const score = () => inference.post('/v1/endpoints/e/score', {}, bearer(scorer)).then(({ status }) => status);
    expect(await score()).toBe(404);
    registry.revoke('key_scorer');
    await expect.poll(score, { timeout: 5000 }).toBe(401);
  });

  it('goes on, and starts, with the keys that it knew when the registry is away', async () => {
    await using dir = await temporaryFolder();
    await using registry = await startRegistry();
    const first = await keyed(dir.path, registry.url, { lane });
    await first[Symbol.asyncDispose]();
    await registry.goAway();
    await using second = await keyed(dir.path, registry.url, { lane });
    expect((await second.post('/v1/endpoints/e/score', {}, bearer(scorer))).status).not.toBe(401);
    expect((await second.post('/v1/endpoints/e/score', {}, bearer(reader))).status).toBe(403);
    expect((await second.post('/v1/endpoints/e/score', {}, bearer(makeKey('key_x', ['admin'])))).status).toBe(401);
  });

  it('refuses all, and says that it is not ready, when the keys are too old; and recovers', async () => {
    await using dir = await temporaryFolder();
    await using registry = await startRegistry();
    await using inference = await keyed(dir.path, registry.url, { lane, keyStalenessMaxMs: 1000 });
    const status = () => inference.post('/v1/endpoints/e/score', {}, bearer(scorer)).then((answer) => answer.status);
    expect(await status()).toBe(404);
    await registry.goAway();
    await expect.poll(status, { timeout: 10_000 }).toBe(503);
    const ready = await inference.get('/readyz');
    expect(ready.body.checks.keys).toMatchObject({
      ready: false,
      message: expect.stringContaining('keyStalenessMaxMs'),
    });
    expect((await inference.get('/v2/health/ready')).status).toBe(503);
    await registry.comeBack();
    await expect.poll(status, { timeout: 10_000 }).toBe(404);
  });
});

describe('the service', () => {
  it('refuses to listen where others could reach it without a key of its own, and says what to set', async () => {
    await using dir = await temporaryFolder();
    await using registry = await startRegistry();
    await expect(serveRegistry(dir.path, registry.url, { host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('set ASSAY_SERVICE_KEY_FILE to the key of this service'),
    });
  });

  it('refuses a key that is none, and does not repeat it', () => {
    const load = () => loadConfig(inferenceConfig, { env: { ASSAY_SERVICE_KEY: 'hunter2' } });
    expect(load).toThrow(/serviceKey/);
    expect(load).not.toThrow(/hunter2/);
  });
});
