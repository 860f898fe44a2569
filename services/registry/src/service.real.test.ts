import { request } from 'node:http';
import { join } from 'node:path';
import { AssayError, type Event, type Model, type RoutingSnapshot, TOPICS } from '@assay/contracts';
import { type EventBus, openDatabaseEventBus } from '@assay/events';
import { createLogger } from '@assay/runtime';
import { describe, expect, it } from 'vitest';
import { describe as describeRegistry } from './index.ts';
import { makePackage, startRegistry } from './registry-under-test.ts';

const LONG_MS = 60_000;
const log = createLogger({ service: 'registry', level: 'silent' });

async function metricOf(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

const waitersOf = (url: string) => metricOf(url, 'assay_registry_routing_waiters');

describe('a running registry', () => {
  it('answers those who wait for a routing change when it stops, and stops at once', async () => {
    await using registry = await startRegistry();
    const waiting = [1, 2, 3].map(() => registry.call<RoutingSnapshot>('GET', `/v1/routing?after=0&waitMs=${LONG_MS}`));
    await expect.poll(() => waitersOf(registry.url), { timeout: 5000 }).toBe(3);
    await registry.stop();
    for (const answer of await Promise.all(waiting))
      expect(answer).toMatchObject({ status: 200, body: { revision: 0 } });
  });

  it('forgets those who went away, and refuses more than it lets wait', async () => {
    await using registry = await startRegistry({ flags: { maxRoutingWaiters: 1 } });
    const url = `${registry.url}/v1/routing?after=0&waitMs=${LONG_MS}`;
    const waiting = request(url);
    waiting.on('error', () => {});
    waiting.end();
    await expect.poll(() => waitersOf(registry.url), { timeout: 5000 }).toBe(1);
    const refused = await fetch(url);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    await refused.text();
    waiting.destroy();
    await expect.poll(() => waitersOf(registry.url), { timeout: 5000 }).toBe(0);
  });

  it('publishes the whole resource after each change, in the order of its revisions', async () => {
    await using registry = await startRegistry({ deps: { checkPackage: async () => {} } });
    await registry.call('POST', '/v1/models', { name: 'm' });
    const made = await makePackage();
    const one = (await registry.register('m', made)).body;
    const two = (await registry.register('m', await makePackage({ adds: 2 }))).body;
    await registry.call('PUT', '/v1/models/m/aliases/champion', { version: 1, expectedRevision: 0 });
    await registry.call('PUT', '/v1/models/m/aliases/champion', { version: 2, expectedRevision: 1 });

    const bus = await openDatabaseEventBus({ url: `sqlite:${join(registry.dir, 'events.sqlite')}`, log });
    const events: Event[] = [];
    await bus.subscribe({ topics: [TOPICS.models], delivery: 'broadcast', from: 'earliest' }, async (event) => {
      events.push(event);
    });
    const of = (type: string) => events.filter((event) => event.type === type);
    await expect.poll(() => of('assay.endpoint.moved.v1').length, { timeout: 10_000 }).toBe(1);
    await expect.poll(() => of('assay.model.alias-moved.v1').length, { timeout: 10_000 }).toBe(2);
    await bus.close();

    expect(of('assay.version.registered.v1').map((event) => event.subject)).toEqual([one.id, two.id]);
    expect(of('assay.version.registered.v1')[0]?.data).toEqual(one);
    const model = events.filter((event) => event.subject === one.modelId);
    expect(model.map((event) => event.sequence)).toEqual([1, 2, 3, 4, 5]);
    expect(model.at(-1)?.data).toEqual((await registry.call('GET', '/v1/models/m')).body);
    const moved = of('assay.endpoint.moved.v1')[0];
    expect(moved).toMatchObject({ source: '/assay/registry', sequence: 2, traceparent: expect.stringMatching(/^00-/) });
    expect(moved?.data).toEqual((await registry.call('GET', '/v1/endpoints/m')).body);
  });

  it('publishes after a restart what it could not before', async () => {
    const failing: EventBus = {
      publish: () => Promise.reject(new AssayError('UNAVAILABLE', 'the bus is away')),
      subscribe: () => Promise.reject(new AssayError('UNAVAILABLE', 'the bus is away')),
      close: () => Promise.resolve(),
    };
    await using registry = await startRegistry({ deps: { bus: failing } });
    const { body: model } = await registry.call<Model>('POST', '/v1/models', { name: 'm' });
    expect(await metricOf(registry.url, 'assay_registry_outbox_events')).toBe(1);
    await registry.stop();
    const again = await startRegistry({ dir: registry.dir });
    await expect.poll(() => metricOf(again.url, 'assay_registry_outbox_events'), { timeout: 10_000 }).toBe(0);
    await again.stop();
    const bus = await openDatabaseEventBus({ url: `sqlite:${join(registry.dir, 'events.sqlite')}`, log });
    const seen = new Promise<Event>((resolve) => {
      bus.subscribe({ topics: [TOPICS.models], delivery: 'broadcast', from: 'earliest' }, async (event) =>
        resolve(event),
      );
    });
    expect((await seen).data).toEqual(model);
    await bus.close();
  });

  it('has a data folder for itself', async () => {
    await using registry = await startRegistry();
    await expect(startRegistry({ dir: registry.dir })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('goes on after a stop with what it had', async () => {
    await using registry = await startRegistry({ deps: { checkPackage: async () => {} } });
    await registry.call('POST', '/v1/models', { name: 'm' });
    await registry.register('m', await makePackage());
    await registry.call('PUT', '/v1/models/m/aliases/champion', { version: 1, expectedRevision: 0 });
    const before = await registry.call('GET', '/v1/routing');
    await registry.stop();
    const again = await startRegistry({ dir: registry.dir });
    expect((await again.call('GET', '/v1/routing')).body).toEqual(before.body);
    const waited = await again.call<RoutingSnapshot>('GET', `/v1/routing?after=0&waitMs=${LONG_MS}`);
    expect(waited.body.revision).toBe(1);
    await again.stop();
  });

  it('is ready, and refuses to listen where others could reach it', async () => {
    await using registry = await startRegistry();
    expect(await registry.call('GET', '/readyz')).toMatchObject({ status: 200, body: { ready: true } });
    await expect(startRegistry({ flags: { host: '0.0.0.0' } })).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });

  it('counts what was registered and refused', async () => {
    await using registry = await startRegistry({ deps: { checkPackage: async () => {} } });
    await registry.call('POST', '/v1/models', { name: 'm' });
    await registry.register('m', await makePackage(), { idempotencyKey: 'k' });
    await registry.register('m', await makePackage(), { idempotencyKey: 'k' });
    const made = await makePackage();
    await registry.register('m', { ...made, files: made.files.filter((file) => file.path !== 'assay.json') });
    const text = await (await fetch(`${registry.url}/metrics`)).text();
    for (const outcome of ['registered', 'repeated', 'refused']) {
      expect(text).toContain(`assay_registry_versions_total{outcome="${outcome}"} 1`);
    }
    expect(text).toMatch(/^assay_registry_registration_duration_seconds_count 3$/m);
    expect(text).toMatch(/^assay_registry_outbox_lag_seconds \d/m);
  });
});

describe('the description of the registry', () => {
  it('is made without opening anything, and every operation of the API says what it is', async () => {
    const described = describeRegistry();
    expect(described.config.map((row) => row.environment)).toContain('ASSAY_REGISTRY_PORT');
    expect(described.metrics.map((row) => row.name)).toContain('assay_registry_versions_total');
    const { paths } = (await described.openapi()) as { paths: Record<string, Record<string, unknown>> }; // OpenAPI's form
    const operations = Object.entries(paths).filter(([path]) => path.startsWith('/v1'));
    expect(operations.length).toBeGreaterThan(12);
    for (const [path, methods] of operations) {
      for (const [method, operation] of Object.entries(methods)) {
        expect(operation, `${method} ${path}`).toMatchObject({
          summary: expect.stringMatching(/\w/),
          operationId: expect.stringMatching(/^[a-z]\w+$/),
          responses: { default: expect.anything() },
        });
      }
    }
  });
});
