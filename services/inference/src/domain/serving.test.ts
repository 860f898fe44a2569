import { AssayError, type Door, type RoutingSnapshot } from '@assay/contracts';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { fakeLoader, recordingObserver, routedEndpoint, SIGNATURE, snapshot } from './fake-versions.ts';
import { createReadiness } from './readiness.ts';
import { createServing, type Serving } from './serving.ts';
import type { RoutingSource } from './version.ts';

const running: Serving[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((serving) => serving.close()));
});

/** A registry whose snapshot a test sets; like the real one it answers in any case after a while. */
function fakeRegistry(first: RoutingSnapshot | undefined) {
  const registry = { current: first, away: first === undefined, pollMs: 5 };
  const routing: RoutingSource = {
    async next(after, signal) {
      const until = performance.now() + registry.pollMs;
      while (!registry.away && registry.current?.revision === after && performance.now() < until) {
        signal.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      if (registry.away || registry.current === undefined) throw new AssayError('UNAVAILABLE', 'the registry is away');
      return registry.current;
    },
  };
  return Object.assign(registry, { routing });
}

function start(options: { first?: RoutingSnapshot; cached?: RoutingSnapshot; maxConcurrentLoads?: number }) {
  const registry = fakeRegistry(options.first);
  const loader = fakeLoader();
  const observer = recordingObserver();
  const kept: RoutingSnapshot[] = [];
  const serving = createServing({
    routing: registry.routing,
    packages: { fetch: async () => '' },
    load: loader.load,
    observer,
    maxConcurrentLoads: options.maxConcurrentLoads ?? 2,
    loadTimeoutMs: 10_000,
    retry: { firstMs: 2, maxMs: 10 },
    maxTimeoutMs: 1000,
    shadowQueueRows: 100,
    shadowQueueBytes: 1_000_000,
    responseCacheMaxBytes: 1_000_000,
    cached: options.cached,
    keep: (effective) => kept.push(effective),
  });
  running.push(serving);
  const score = (endpoint: string, extra: { key?: string; version?: string } = {}) =>
    serving.dataplane.score(endpoint, () => () => 1, { door: 'rest', receivedAtMs: performance.now(), ...extra });
  return { registry, loader, observer, kept, serving, score };
}

async function settled(serving: Serving): Promise<void> {
  await serving.whenSettled(AbortSignal.timeout(5000));
}

test('answers are used again for callers, and not for records of streams, requests for reasons, or a random model', async () => {
  const cache = { maxBytes: 1000, maxAgeMs: 1000 };
  const { loader, serving } = start({ first: snapshot(1, { ...routedEndpoint('flights', 1, [1]), cache }) });
  serving.start();
  await settled(serving);
  const ask = (door: Door, explained?: () => readonly unknown[] | undefined) =>
    serving.dataplane.score('flights', () => () => 1, { door, receivedAtMs: performance.now(), explained });
  await ask('rest', () => undefined);
  await ask('grpc');
  await ask('kafka');
  await ask('rest', () => [{}]);
  expect(loader.runs.map(({ cache: given }) => given !== undefined)).toEqual([true, true, false, false]);

  const random = start({ first: snapshot(1, { ...routedEndpoint('flights', 1, [1]), cache }) });
  random.loader.isRandom = true;
  random.serving.start();
  await settled(random.serving);
  await random.score('flights');
  expect(random.loader.runs[0]?.cache).toBeUndefined();
});

test('a time limit of the endpoint bounds what its callers ask for, and not streams', async () => {
  const { loader, serving } = start({
    first: snapshot(1, { ...routedEndpoint('a', 1, [1]), limits: { timeoutMs: 50 } }),
  });
  serving.start();
  await settled(serving);
  const waits = async (door: 'rest' | 'kafka', timeoutMs: number | undefined): Promise<number> => {
    const receivedAtMs = performance.now();
    await serving.dataplane.score('a', () => () => 1, { door, receivedAtMs, timeoutMs });
    return Math.round((loader.runs.at(-1)?.deadlineMs ?? Number.NaN) - receivedAtMs);
  };
  expect(await waits('rest', 200)).toBe(50);
  expect(await waits('rest', 20)).toBe(20);
  expect(await waits('rest', undefined)).toBe(50);
  expect(await waits('kafka', 200)).toBe(200);
});

describe('what serves', () => {
  test('a new version takes the traffic only when it is loaded, and the old one then leaves', async () => {
    const { registry, loader, serving, score, observer } = start({ first: snapshot(1, routedEndpoint('a', 1, [1])) });
    serving.start();
    await settled(serving);
    const gate = Promise.withResolvers<void>();
    loader.gates.set('ver_2', gate.promise);
    registry.current = snapshot(2, routedEndpoint('a', 2, [2]));
    await vi.waitFor(() => expect(loader.loads).toContain('ver_2'));
    expect((await score('a')).variant.version.id).toBe('ver_1');
    gate.resolve();
    await vi.waitFor(async () => expect((await score('a')).variant.version.id).toBe('ver_2'));
    await vi.waitFor(() => expect(loader.closed).toEqual(['ver_1']));
    expect(observer.told).toContain('unloaded ver_1');
  });

  test('an old version answers the requests that it has before it is unloaded', async () => {
    const { registry, loader, serving, score } = start({ first: snapshot(1, routedEndpoint('a', 1, [1])) });
    serving.start();
    await settled(serving);
    const answer = Promise.withResolvers<void>();
    loader.answers.set('ver_1', answer.promise);
    const waiting = score('a');
    registry.current = snapshot(2, routedEndpoint('a', 2, [2]));
    await vi.waitFor(() => expect(serving.convergence.table.get('a')?.endpoint.revision).toBe(2));
    expect((await score('a')).variant.version.id).toBe('ver_2');
    expect(loader.closed).toEqual([]);
    answer.resolve();
    expect((await waiting).variant.version.id).toBe('ver_1');
    await vi.waitFor(() => expect(loader.closed).toEqual(['ver_1']));
  });

  test('a version that fails leaves the old one serving, is told, and takes over once it loads', async () => {
    const { registry, loader, serving, score, observer } = start({ first: snapshot(1, routedEndpoint('a', 1, [1])) });
    const readiness = createReadiness(serving, { ageMs: () => 0, staleAfterMs: 1000 });
    serving.start();
    await settled(serving);
    loader.broken.set('ver_2', new AssayError('UNPROCESSABLE_MODEL', 'golden record 3 differs'));
    registry.current = snapshot(2, routedEndpoint('a', 2, [2]));
    await vi.waitFor(() => expect(observer.told).toContain('failed to load ver_2, attempt 2'));
    expect((await score('a')).variant.version.id).toBe('ver_1');
    expect(readiness()).toMatchObject({ ready: true });
    expect(readiness().checks.endpoints.message).toMatch(
      /endpoint "a": flights version 2 failed.*golden record 3 differs/,
    );
    loader.broken.clear();
    await vi.waitFor(async () => expect((await score('a')).variant.version.id).toBe('ver_2'));
    expect(readiness().checks).toEqual({ routing: { ready: true }, endpoints: { ready: true } });
  });

  test('the failure of one version does not touch another endpoint', async () => {
    const { loader, serving, score } = start({
      first: snapshot(1, routedEndpoint('a', 1, [1]), routedEndpoint('b', 1, [2])),
    });
    loader.broken.set('ver_1', new Error('broken'));
    serving.start();
    await settled(serving);
    expect((await score('b')).variant.version.id).toBe('ver_2');
    await expect(score('a')).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('broken') });
  });

  test('a version that does not keep the contract of its endpoint gets no traffic', async () => {
    const { registry, serving, score } = start({ first: snapshot(1, routedEndpoint('a', 1, [1])) });
    serving.start();
    await settled(serving);
    const contract = {
      ...SIGNATURE,
      features: [{ ...SIGNATURE.features[0], name: 'y', dtype: 'float32' as const, shape: [], nullable: false }],
    };
    registry.current = snapshot(2, { ...routedEndpoint('a', 2, [2]), contract });
    await vi.waitFor(() =>
      expect(serving.convergence.status()[0]?.problem).toMatch(/does not keep the endpoint's contract/),
    );
    expect((await score('a')).variant.version.id).toBe('ver_1');
  });

  test('an endpoint that is deleted stops at once, also when it comes back under its name with a broken version', async () => {
    const { registry, loader, serving, score } = start({ first: snapshot(1, routedEndpoint('a', 1, [1])) });
    serving.start();
    await settled(serving);
    loader.broken.set('ver_2', new Error('broken'));
    registry.current = snapshot(2, { ...routedEndpoint('a', 1, [2]), id: 'ept_other' });
    await vi.waitFor(() => expect(loader.closed).toEqual(['ver_1']));
    await expect(score('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    registry.current = snapshot(3);
    await vi.waitFor(() => expect(serving.convergence.wanted?.revision).toBe(3));
    await expect(score('a')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('at the first start the variants that loaded serve; keys of the others are refused, never sent elsewhere', async () => {
    const { loader, serving, score } = start({ first: snapshot(1, routedEndpoint('a', 1, [1, 2], [5000, 5000])) });
    loader.broken.set('ver_2', new Error('broken'));
    serving.start();
    await settled(serving);
    const outcomes = await Promise.allSettled(Array.from({ length: 200 }, (_, i) => score('a', { key: `k${i}` })));
    const answered = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(answered.length).toBeGreaterThan(50);
    expect(answered.length).toBeLessThan(150);
    expect(answered.every(({ value }) => value.variant.version.id === 'ver_1')).toBe(true);
  });

  test('a revision that names a version which the snapshot lacks is not applied', async () => {
    const { registry, serving, score } = start({ first: snapshot(1, routedEndpoint('a', 1, [1])) });
    serving.start();
    await settled(serving);
    const next = snapshot(2, routedEndpoint('a', 2, [1, 2], [5000, 5000]));
    registry.current = { ...next, versions: next.versions.filter(({ id }) => id !== 'ver_2') };
    await vi.waitFor(() => expect(serving.convergence.status()[0]?.problem).toMatch(/ver_2 is not described/));
    expect((await score('a')).endpoint.endpoint.revision).toBe(1);
  });

  test('loads are run in parallel within their limit', async () => {
    const endpoints = Array.from({ length: 12 }, (_, i) => routedEndpoint(`e${i}`, 1, [i + 1]));
    const { loader, serving } = start({ first: snapshot(1, ...endpoints), maxConcurrentLoads: 3 });
    serving.start();
    await settled(serving);
    expect(loader.loads.length).toBe(12);
    expect(loader.mostAtOnce).toBe(3);
  });

  test('a version that is no longer wanted while it loads is closed and never served', async () => {
    const { registry, loader, serving, observer } = start({ first: snapshot(1, routedEndpoint('a', 1, [1])) });
    const gate = Promise.withResolvers<void>();
    loader.gates.set('ver_1', gate.promise);
    serving.start();
    await vi.waitFor(() => expect(loader.loads).toContain('ver_1'));
    registry.current = snapshot(2, routedEndpoint('a', 2, [2]));
    await vi.waitFor(() => expect(observer.told).toContain('loaded ver_2'));
    gate.resolve();
    await settled(serving);
    expect(observer.told).not.toContain('loaded ver_1');
  });

  test('a pinned version answers, one that the endpoint does not serve is not found', async () => {
    const { serving, score } = start({ first: snapshot(1, routedEndpoint('a', 1, [2, 1])) });
    serving.start();
    await settled(serving);
    expect((await score('a')).variant.version.id).toBe('ver_2');
    expect((await score('a', { version: '1' })).variant.version.id).toBe('ver_1');
    expect((await score('a', { version: 'ver_1' })).variant.version.id).toBe('ver_1');
    await expect(score('a', { version: '7' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('following the registry', () => {
  test('an announcement that was lost is made good by the next answer, on every replica', async () => {
    const first = snapshot(1, routedEndpoint('a', 1, [1, 2], [9000, 1000]));
    const replicas = [start({ first }), start({ first })];
    for (const { serving } of replicas) serving.start();
    await Promise.all(replicas.map(({ serving }) => settled(serving)));
    // No one tells them: they find out by asking.
    for (const { registry } of replicas) registry.current = snapshot(5, routedEndpoint('a', 5, [1, 2], [6000, 4000]));
    for (const { serving } of replicas) {
      await vi.waitFor(() => expect(serving.convergence.table.get('a')?.endpoint.revision).toBe(5));
    }
    const routes = await Promise.all(
      replicas.map(({ score }) =>
        Promise.all(
          Array.from({ length: 300 }, async (_, i) => (await score('a', { key: `k${i}` })).variant.version.id),
        ),
      ),
    );
    expect(routes[0]).toEqual(routes[1]);
    expect(new Set(routes[0]).size).toBe(2);
  });

  test('without the registry it starts with what served before, and says that it is old', async () => {
    const { registry, serving, score, observer } = start({ cached: snapshot(4, routedEndpoint('a', 2, [1])) });
    const readiness = createReadiness(serving, { ageMs: () => undefined, staleAfterMs: 1000 });
    expect(readiness().ready).toBe(false);
    serving.start();
    await settled(serving);
    expect((await score('a')).variant.version.id).toBe('ver_1');
    expect(readiness()).toMatchObject({
      ready: true,
      checks: { routing: { message: expect.stringContaining('has not answered') } },
    });
    await vi.waitFor(() => expect(observer.told).toContain('unreachable, attempt 3'));
    registry.current = snapshot(6, routedEndpoint('a', 3, [2]));
    registry.away = false;
    await vi.waitFor(async () => expect((await score('a')).variant.version.id).toBe('ver_2'));
  });

  test('what served before serves on when the newest version fails at the start', async () => {
    const { loader, serving, score, kept, observer } = start({
      cached: snapshot(4, routedEndpoint('a', 2, [1])),
      first: snapshot(5, routedEndpoint('a', 3, [2])),
    });
    loader.broken.set('ver_2', new Error('broken'));
    serving.start();
    await vi.waitFor(() => expect(observer.told).toContain('failed to load ver_2, attempt 2'));
    expect((await score('a')).variant.version.id).toBe('ver_1');
    // A next start without the registry needs the version that serves, not the one that fails.
    expect(kept.at(-1)?.endpoints[0]?.variants[0]?.versionId).toBe('ver_1');
    expect(kept.at(-1)?.versions.map((version) => version.id)).toEqual(['ver_1']);
  });

  test('one old answer is dropped; a registry that was begun anew is believed after a few', async () => {
    const { registry, serving, observer } = start({ first: snapshot(9, routedEndpoint('a', 9, [1])) });
    serving.start();
    await settled(serving);
    registry.current = snapshot(2, routedEndpoint('a', 1, [2]));
    await vi.waitFor(() => expect(serving.convergence.wanted?.revision).toBe(2));
    expect(observer.told.filter((line) => line.startsWith('went back'))).toEqual([
      'went back from 9 to 2',
      'went back from 9 to 2',
      'went back from 9 to 2, believed',
    ]);
  });
});
