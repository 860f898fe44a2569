import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { type InferenceUnderTest, serveRegistry, temporaryFolder } from './inference-under-test.ts';
import { versionModel } from './models-under-test.ts';
import { startRegistry } from './registry-under-test.ts';

const SCORE = { records: [{ x: 1 }] };
const within = { timeout: 20_000, interval: 10 };

/** The number that the answer gives, which is the number of its version's model. */
async function answered(inference: InferenceUnderTest, headers: Record<string, string> = {}): Promise<number> {
  const { status, text, body } = await inference.post('/v1/endpoints/flights/score', SCORE, headers);
  if (status !== 200) throw new Error(`${status} ${text}`);
  return body.predictions[0].outputs.version;
}

test('a hundred swaps under load fail no request, and each answer is of the version that it names', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const models = await Promise.all([1, 2, 3, 4].map((number) => versionModel(folder.path, number)));
  const numberOf = new Map(models.map((made) => [made.digest, made.manifest.golden.outputs[0]?.version]));
  const swapTo = (i: number) => {
    const made = models[i % models.length];
    if (made !== undefined) registry.route('flights', [{ made, weight: 10_000 }]);
  };
  swapTo(0);
  await using inference = await serveRegistry(folder.path, registry.url);
  await vi.waitFor(() => answered(inference), within);

  let isSwapping = true;
  const revisions = new Set<number>();
  let requests = 0;
  const client = async () => {
    while (isSwapping) {
      const { status, text, body } = await inference.post('/v1/endpoints/flights/score', SCORE);
      if (status !== 200) throw new Error(`request ${requests} failed: ${status} ${text}`);
      expect(body.predictions[0].outputs.version).toBe(numberOf.get(body.digest));
      revisions.add(body.routingRevision);
      requests++;
    }
  };
  const clients = Array.from({ length: 4 }, client);
  const failure = Promise.all(clients);
  for (let swap = 1; swap <= 100; swap++) {
    swapTo(swap);
    const current = async () => expect((await inference.get('/v1/endpoints/flights')).body.revision).toBe(swap + 1);
    await Promise.race([vi.waitFor(current, within), failure]);
  }
  isSwapping = false;
  await failure;
  expect(revisions.size).toBeGreaterThan(50);
  expect(requests).toBeGreaterThan(100);
  await vi.waitFor(async () => {
    expect((await inference.get('/metrics')).text).toContain('assay_inference_loaded_versions 1\n');
  }, within);
});

test('two replicas converge after an event that both missed, and route every key alike', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const [one, two] = [await versionModel(folder.path, 1), await versionModel(folder.path, 2)];
  registry.route('flights', [{ made: one, weight: 10_000 }]);
  const poll = { pollIntervalMs: 200 };
  await using a = await serveRegistry(join(folder.path, 'a'), registry.url, poll);
  await using b = await serveRegistry(join(folder.path, 'b'), registry.url, poll);
  for (const replica of [a, b]) await vi.waitFor(() => answered(replica), within);

  registry.route(
    'flights',
    [
      { made: one, weight: 7000 },
      { made: two, weight: 3000 },
    ],
    { silent: true },
  );
  for (const replica of [a, b]) {
    await vi.waitFor(async () => {
      expect((await replica.get('/v1/endpoints/flights')).body.revision).toBe(2);
    }, within);
  }
  const keys = Array.from({ length: 200 }, (_, i) => Buffer.from(`köln-${i}`).toString('latin1'));
  const routes = (replica: InferenceUnderTest) =>
    Promise.all(keys.map((key) => answered(replica, { 'assay-routing-key': key })));
  const [ofA, ofB] = [await routes(a), await routes(b)];
  expect(ofA).toEqual(ofB);
  expect(new Set(ofA)).toEqual(new Set([1, 2]));
});

test('it starts and serves from its cache when the registry is away, and catches up when it is back', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const [one, two] = [await versionModel(folder.path, 1), await versionModel(folder.path, 2)];
  registry.route('flights', [{ made: one, weight: 10_000 }]);
  {
    await using inference = await serveRegistry(folder.path, registry.url);
    await vi.waitFor(() => answered(inference), within);
    await registry.goAway();
    expect(await answered(inference)).toBe(1);
  }
  await using again = await serveRegistry(folder.path, registry.url);
  await vi.waitFor(async () => expect(await answered(again)).toBe(1), within);
  const { status, body } = await again.get('/readyz');
  expect([status, body.checks.routing]).toEqual([
    200,
    { ready: true, message: expect.stringContaining('the registry has not answered since the start') },
  ]);
  await vi.waitFor(async () => {
    expect((await again.get('/metrics')).text).toMatch(/assay_inference_routing_failures_total [1-9]/);
  }, within);
  registry.route('flights', [{ made: two, weight: 10_000 }]);
  await registry.comeBack();
  await vi.waitFor(async () => expect(await answered(again)).toBe(2), within);
  expect((await again.get('/readyz')).body.checks.routing).toEqual({ ready: true });
});

test('without registry and cache it listens, is not ready and says why', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await registry.goAway();
  await using inference = await serveRegistry(folder.path, registry.url);
  expect(await inference.get('/readyz')).toMatchObject({
    status: 503,
    body: { checks: { routing: { ready: false, message: expect.stringContaining('no routing snapshot yet') } } },
  });
  expect(await inference.get('/v2/health/ready')).toMatchObject({ status: 503, text: '{"ready":false}' });
  expect((await inference.get('/livez')).status).toBe(200);
  expect((await inference.post('/v1/endpoints/flights/score', SCORE)).status).toBe(404);
});

test('a version that fails its golden records leaves the old one serving, told by metric and readiness', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const [one, broken] = [await versionModel(folder.path, 1), await versionModel(folder.path, 2, true)];
  registry.route('flights', [{ made: one, weight: 10_000 }]);
  {
    await using inference = await serveRegistry(folder.path, registry.url);
    await vi.waitFor(() => answered(inference), within);
    registry.route('flights', [{ made: broken, weight: 10_000 }]);
    await vi.waitFor(async () => {
      const { status, body } = await inference.get('/readyz');
      expect([status, body.checks.endpoints.message]).toEqual([
        200,
        expect.stringContaining('golden records do not reproduce'),
      ]);
    }, within);
    expect(await answered(inference)).toBe(1);
    expect((await inference.get('/v1/endpoints/flights')).body).toMatchObject({ revision: 1, wantedRevision: 2 });
    const { text } = await inference.get('/metrics');
    expect(text).toMatch(/version_load_failures_total\{model="flights",version="2",code="UNPROCESSABLE_MODEL"\} [1-9]/);
    expect(text).toContain('assay_inference_held_back_endpoints 1\n');
  }
  // What is cached is what served: a start without the registry does not need the version that fails.
  await registry.goAway();
  await using again = await serveRegistry(folder.path, registry.url);
  await vi.waitFor(async () => expect(await answered(again)).toBe(1), within);
});

test('a package that was damaged on the way or on the disk is never served, and had anew', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const one = await versionModel(folder.path, 1);
  registry.damageFiles(true);
  registry.route('flights', [{ made: one, weight: 10_000 }]);
  {
    await using inference = await serveRegistry(folder.path, registry.url);
    await vi.waitFor(async () => {
      expect((await inference.get('/metrics')).text).toMatch(/version_load_failures_total\{.*\} [1-9]/);
    }, within);
    expect((await inference.post('/v1/endpoints/flights/score', SCORE)).status).toBe(503);
    registry.damageFiles(false);
    await vi.waitFor(() => answered(inference), within);
  }
  const cached = join(folder.path, 'cache', 'packages', one.digest, 'model.onnx');
  const bytes = await readFile(cached);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  await writeFile(cached, bytes);
  const before = registry.downloads.length;
  await using again = await serveRegistry(folder.path, registry.url);
  await vi.waitFor(async () => expect(await answered(again)).toBe(1), within);
  expect(registry.downloads.length).toBeGreaterThan(before);
});

test('a damaged snapshot is no reason not to start', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  registry.route('flights', [{ made: await versionModel(folder.path, 1), weight: 10_000 }]);
  {
    await using inference = await serveRegistry(folder.path, registry.url);
    await vi.waitFor(() => answered(inference), within);
  }
  await writeFile(join(folder.path, 'cache', 'routing.json'), '{"formatVersion":1,');
  await using again = await serveRegistry(folder.path, registry.url);
  await vi.waitFor(() => answered(again), within);
});

test('packages that no endpoint uses are removed when the cache is over its limit', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const models = await Promise.all([1, 2, 3].map((number) => versionModel(folder.path, number)));
  await using inference = await serveRegistry(folder.path, registry.url, { cacheMaxBytes: 1 });
  for (const [i, made] of models.entries()) {
    registry.route('flights', [{ made, weight: 10_000 }]);
    await vi.waitFor(async () => expect(await answered(inference)).toBe(i + 1), within);
  }
  await vi.waitFor(async () => {
    expect(await readdir(join(folder.path, 'cache', 'packages'))).toEqual([models[2]?.digest]);
    const graphs = await readdir(join(folder.path, 'cache', 'graphs')).catch(() => []);
    expect(graphs.filter((file) => !file.startsWith(models[2]?.digest ?? ''))).toEqual([]);
  }, within);
});

test('two processes do not share a cache folder', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using _first = await serveRegistry(folder.path, registry.url);
  await expect(serveRegistry(folder.path, registry.url)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});
