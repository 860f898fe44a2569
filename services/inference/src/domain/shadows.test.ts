import type { RoutedEndpoint } from '@assay/contracts';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { fakeLoader, recordingObserver, routedEndpoint, routedVersion, snapshot } from './fake-versions.ts';
import { createServing, type Serving } from './serving.ts';

const running: Serving[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((serving) => serving.close()));
});

/** Version 1 answers, version 2 is its shadow. */
function shadowed(ratio: number): RoutedEndpoint {
  return { ...routedEndpoint('a', 1, [1]), shadows: [{ versionId: 'ver_2', ratio }] };
}

function start(endpoint: RoutedEndpoint) {
  const loader = fakeLoader();
  const observer = recordingObserver();
  const first = { ...snapshot(1, endpoint), versions: [routedVersion(1), routedVersion(2)] };
  const routing = { current: first };
  const serving = createServing({
    routing: {
      async next(after, signal) {
        while (routing.current.revision === after) {
          signal.throwIfAborted();
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        return routing.current;
      },
    },
    packages: { fetch: async () => '' },
    load: loader.load,
    observer,
    maxConcurrentLoads: 2,
    loadTimeoutMs: 10_000,
    retry: { firstMs: 2, maxMs: 10 },
    maxTimeoutMs: 1000,
    shadowQueueRows: 10,
    responseCacheMaxBytes: 0,
    shadowQueueBytes: 1000,
    cached: undefined,
    keep() {},
  });
  running.push(serving);
  serving.start();
  const score = (sizeBytes = 1) =>
    serving.dataplane.score('a', () => () => 1, { door: 'rest', receivedAtMs: performance.now(), sizeBytes });
  const counts = () => serving.shadows.records()[0]?.counts;
  return { loader, observer, serving, routing, score, counts };
}

const settled = (serving: Serving) => serving.whenSettled(AbortSignal.timeout(5000));

describe('a shadow', () => {
  test('is given what was answered, after the answer, and answers nobody', async () => {
    const { serving, score, counts, observer } = start(shadowed(1));
    await settled(serving);
    const scored = await score();
    expect(scored.variant.version.id).toBe('ver_1');
    expect(counts()).toMatchObject({ rows: 0 });
    await vi.waitFor(() => expect(counts()).toMatchObject({ rows: 1, failedRows: 0, droppedRows: 0 }));
    expect(serving.shadows.records()).toMatchObject([
      { versionId: 'ver_2', primaryVersionId: 'ver_1', endpointName: 'a' },
    ]);
    expect(observer.told).toContain('1 rows of a compared by ver_2');
  });

  test('is given its share of the requests', async () => {
    const { serving, score } = start(shadowed(0.25));
    await settled(serving);
    const offer = vi.spyOn(Math, 'random');
    for (const drawn of [0.1, 0.25, 0.9, 0.2]) {
      offer.mockReturnValueOnce(drawn);
      await score();
    }
    offer.mockRestore();
    await vi.waitFor(() => expect(serving.shadows.records()[0]?.counts.rows).toBe(2));
  });

  test('that does not load holds up nothing, is told, and is compared once it does', async () => {
    const { loader, serving, score, counts } = start(shadowed(1));
    loader.broken.set('ver_2', new Error('broken'));
    await settled(serving);
    await score();
    expect(counts()).toMatchObject({ rows: 0, droppedRows: 1 });
    expect(serving.convergence.status()[0]?.problem).toMatch(/failed to load .* broken/);
    loader.broken.clear();
    await vi.waitFor(async () => {
      await score();
      expect(counts()?.rows).toBeGreaterThan(0);
    });
    expect(serving.convergence.status()[0]?.problem).toBeUndefined();
  });

  test('that is slow is given no more than may wait: the rest is dropped, and every request is answered', async () => {
    const { loader, serving, score, counts } = start(shadowed(1));
    await settled(serving);
    const gate = Promise.withResolvers<void>();
    loader.answers.set('ver_2', gate.promise);
    for (let i = 0; i < 15; i++) await score();
    expect(counts()).toMatchObject({ rows: 0, droppedRows: 5 });
    expect(serving.shadows.queuedRows).toBe(10);
    gate.resolve();
    await vi.waitFor(() => expect(counts()).toMatchObject({ rows: 10, droppedRows: 5 }));
    await score(2000);
    expect(counts()).toMatchObject({ droppedRows: 6 });
  });

  test('that fails on what was answered is counted, and leaves the answers alone', async () => {
    const { loader, serving, score, counts } = start(shadowed(1));
    await settled(serving);
    const refused = Promise.reject(new Error('it cannot score this'));
    refused.catch(() => undefined);
    loader.answers.set('ver_2', refused);
    expect((await score()).rows.rows).toBe(1);
    await vi.waitFor(() => expect(counts()).toMatchObject({ rows: 0, failedRows: 1 }));
  });

  test('that the endpoint has no more leaves memory when its last rows are compared', async () => {
    const { loader, serving, score, counts, routing } = start(shadowed(1));
    await settled(serving);
    const gate = Promise.withResolvers<void>();
    loader.answers.set('ver_2', gate.promise);
    await score();
    routing.current = { ...snapshot(2, routedEndpoint('a', 2, [1])), versions: [routedVersion(1)] };
    await vi.waitFor(() => expect(serving.convergence.table.get('a')?.endpoint.revision).toBe(2));
    await score();
    expect(loader.closed).toEqual([]);
    gate.resolve();
    await vi.waitFor(() => expect(loader.closed).toEqual(['ver_2']));
    expect(counts()).toMatchObject({ rows: 1, failedRows: 0 });
  });
});
