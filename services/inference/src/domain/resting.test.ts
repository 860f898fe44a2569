import { AssayError } from '@assay/contracts';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Convergence } from './convergence.ts';
import { Dataplane } from './dataplane.ts';
import { fakeLoader, recordingObserver, routedEndpoint, routedVersion, snapshot } from './fake-versions.ts';
import { LiveSet } from './live-set.ts';

const open: LiveSet[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((live) => live.close()));
});

/** Endpoints e1, e2, … of version 1, 2, … each, all loaded; every version takes 10 bytes. */
async function start(options: {
  versions: number;
  maxBytes: number;
  retryMs?: number;
  bytes?: (id: string, isLoaded: boolean) => number;
}) {
  const loader = fakeLoader();
  const observer = recordingObserver();
  const { retryMs = 60_000, bytes = () => 10 } = options;
  const live = new LiveSet({
    load: loader.load,
    observer,
    maxConcurrentLoads: 1,
    loadTimeoutMs: 10_000,
    retry: { firstMs: retryMs, maxMs: retryMs },
    memory: { maxBytes: options.maxBytes, sizeOf: ({ id }, loaded) => bytes(id, loaded !== undefined) },
  });
  open.push(live);
  const convergence = new Convergence({ live, observer, onApplied() {} });
  const dataplane = new Dataplane({ convergence, live, observer, maxTimeoutMs: 10_000 });
  const route = (...numbers: number[]) =>
    convergence.want(snapshot(1, ...numbers.map((number) => routedEndpoint(`e${number}`, 1, [number]))));
  route(...Array.from({ length: options.versions }, (_, i) => i + 1));
  await convergence.whenSettled(AbortSignal.timeout(5000));
  observer.told.length = 0;
  loader.loads.length = 0;
  const score = (number: number, { timeoutMs = 5000, signal }: { timeoutMs?: number; signal?: AbortSignal } = {}) => {
    const request = { door: 'rest' as const, receivedAtMs: performance.now(), timeoutMs, signal };
    return dataplane.score(`e${number}`, () => () => 1, request);
  };
  /** What rested and woke since the start, in order. */
  const moves = () => observer.told.filter((line) => /^(rested|woke) /.test(line));
  return { loader, observer, live, convergence, route, score, moves };
}

describe('versions whose memory is bounded', () => {
  test('those that were used longest ago rest, and the next request wakes them', async () => {
    const { live, loader, score, moves } = await start({ versions: 3, maxBytes: 30 });
    expect([live.size, live.resting, live.heldBytes]).toEqual([3, 0, 30]);
    await start({ versions: 5, maxBytes: 30 }).then(async (five) => {
      expect([five.live.size, five.live.resting, five.live.heldBytes]).toEqual([3, 2, 30]);
      expect((await five.score(1)).variant.version.id).toBe('ver_1');
      await five.score(4);
      await five.score(2);
      await five.score(3);
      expect(five.moves()).toEqual([
        'rested ver_3',
        'woke ver_1',
        'rested ver_5',
        'woke ver_2',
        'rested ver_1',
        'woke ver_3',
      ]);
    });
    for (const number of [1, 2, 3, 1]) await score(number);
    expect([moves(), loader.loads]).toEqual([[], []]);
  });

  test('requests that come while a version is woken wait for the one load, and are pending', async () => {
    const { loader, observer, score } = await start({ versions: 3, maxBytes: 20 });
    const gate = Promise.withResolvers<void>();
    loader.gates.set('ver_1', gate.promise);
    const { statistics } = observer.recorder('e1', routedVersion(1));
    const scores = [score(1), score(1), score(1)];
    await vi.waitFor(() => expect(loader.loads).toEqual(['ver_1']));
    expect(statistics.pendingRequests).toBe(3);
    gate.resolve();
    expect((await Promise.all(scores)).map(({ variant }) => variant.version.id)).toEqual(['ver_1', 'ver_1', 'ver_1']);
    expect(statistics.pendingRequests).toBe(0);
    expect(loader.loads).toEqual(['ver_1']);
  });

  test('a version that answers a request stays, and who needs its room waits for it', async () => {
    const { loader, score, moves } = await start({ versions: 2, maxBytes: 10 });
    const answer = Promise.withResolvers<void>();
    loader.answers.set('ver_2', answer.promise);
    const busy = score(2);
    const waiting = score(1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(moves()).toEqual([]);
    answer.resolve();
    expect((await busy).variant.version.id).toBe('ver_2');
    expect((await waiting).variant.version.id).toBe('ver_1');
    expect(moves()).toEqual(['rested ver_2', 'woke ver_1']);
  });

  test('who cannot be served in time is told when to come back, and the load goes on', async () => {
    const { loader, score, observer } = await start({ versions: 2, maxBytes: 10 });
    const gate = Promise.withResolvers<void>();
    loader.gates.set('ver_1', gate.promise);
    await expect(score(1, { timeoutMs: 20 })).rejects.toMatchObject({ code: 'UNAVAILABLE', retryAfterMs: 1000 });
    const gone = new AbortController();
    const left = score(1, { signal: gone.signal });
    gone.abort();
    await expect(left).rejects.toMatchObject({ code: 'CANCELLED' });
    gate.resolve();
    await vi.waitFor(() => expect(observer.told).toContain('woke ver_1'));
    await score(1);
    expect(loader.loads).toEqual(['ver_1']);
  });

  test('a version that cannot be woken is told, is not tried at every request, and touches no other', async () => {
    const { loader, score, convergence, live } = await start({ versions: 3, maxBytes: 20 });
    loader.broken.set('ver_1', new Error('the disk is gone'));
    for (let i = 0; i < 3; i++) {
      await expect(score(1)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining('the disk is gone'),
        retryAfterMs: expect.any(Number),
      });
    }
    expect(loader.loads).toEqual(['ver_1']);
    expect(convergence.problemOf('e1')).toMatch(/could not be loaded again \(1 times\): the disk is gone/);
    await Promise.all([score(2), score(3)]);
    expect(convergence.problemOf('e2')).toBeUndefined();
    expect(live.heldBytes).toBeLessThanOrEqual(20);
  });

  test('after its pause it is tried again, and what was wrong is forgotten', async () => {
    const { loader, score, convergence } = await start({ versions: 2, maxBytes: 10, retryMs: 1 });
    loader.broken.set('ver_1', new Error('the disk is gone'));
    await expect(score(1)).rejects.toThrow('the disk is gone');
    loader.broken.clear();
    await vi.waitFor(() => score(1));
    expect(convergence.problemOf('e1')).toBeUndefined();
  });

  test('one that is larger than all the memory fails alone, and says what to do', async () => {
    const { live, convergence, score } = await start({
      versions: 3,
      maxBytes: 20,
      bytes: (id) => (id === 'ver_2' ? 21 : 10),
    });
    expect(convergence.problemOf('e2')).toMatch(/raise ASSAY_INFERENCE_MODEL_MEMORY_BYTES/);
    await Promise.all([score(1), score(3)]);
    expect([live.size, live.resting]).toEqual([2, 0]);
  });

  test('one that turns out to hold more than it was taken to makes others leave, and may be too large', async () => {
    const larger = await start({
      versions: 3,
      maxBytes: 40,
      bytes: (id, isLoaded) => (isLoaded && id === 'ver_3' ? 30 : 10),
    });
    expect([larger.live.size, larger.live.resting, larger.live.heldBytes]).toEqual([2, 1, 40]);
    const answer = Promise.withResolvers<void>();
    larger.loader.answers.set('ver_3', answer.promise);
    const busy = larger.score(3);
    await larger.score(1);
    await larger.score(2);
    expect(larger.live.heldBytes).toBe(40);
    answer.resolve();
    await busy;
    expect(larger.live.heldBytes).toBe(40);
    const tooLarge = await start({
      versions: 2,
      maxBytes: 20,
      bytes: (id, isLoaded) => (isLoaded && id === 'ver_1' ? 30 : 10),
    });
    expect(tooLarge.convergence.problemOf('e1')).toMatch(/raise ASSAY_INFERENCE_MODEL_MEMORY_BYTES/);
    expect(tooLarge.loader.closed).toEqual(['ver_1']);
    expect([tooLarge.live.size, tooLarge.live.heldBytes]).toEqual([1, 10]);
  });

  test('one that turns out larger while all others are busy rests itself, and its requests wait for them', async () => {
    const gate = Promise.withResolvers<void>();
    const { loader, live, score, route, observer, moves } = await start({
      versions: 1,
      maxBytes: 30,
      bytes: (id, isLoaded) => (isLoaded && id === 'ver_2' ? 30 : 10),
    });
    loader.answers.set('ver_1', gate.promise);
    const busy = score(1);
    route(1, 2);
    await vi.waitFor(() => expect(observer.told).toContain('rested ver_2'));
    await vi.waitFor(() => expect([live.size, live.heldBytes]).toEqual([1, 10]));
    const waiting = score(2);
    gate.resolve();
    expect((await busy).variant.version.id).toBe('ver_1');
    expect((await waiting).variant.version.id).toBe('ver_2');
    expect(moves()).toEqual(['rested ver_2', 'rested ver_1', 'woke ver_2']);
    expect([live.size, live.heldBytes]).toEqual([1, 30]);
  });

  test('one that is wanted no more leaves from its rest, and while it is woken', async () => {
    const { loader, live, observer, route, score } = await start({ versions: 3, maxBytes: 10 });
    route(2, 3);
    await vi.waitFor(() => expect(observer.told).toContain('unloaded ver_1'));
    expect(live.resting).toBe(1);
    const gate = Promise.withResolvers<void>();
    loader.gates.set('ver_2', gate.promise);
    await expect(score(2, { timeoutMs: 5 })).rejects.toBeInstanceOf(AssayError);
    route(3);
    gate.resolve();
    await vi.waitFor(() => expect(observer.told).toContain('unloaded ver_2'));
    await score(3);
    expect([live.size, live.resting, live.heldBytes]).toEqual([1, 0, 10]);
  });
});
