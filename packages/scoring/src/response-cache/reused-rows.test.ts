import { setImmediate as nextTurn } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { createBatcher } from '../batcher.ts';
import type { Batcher, BatcherOptions, ScoredRows, Scorer, ScorerOptions } from '../interfaces.ts';
import { load } from '../testing/load.ts';
import { identityModel, lookupModel, passThroughModel } from '../testing/models.ts';
import { CacheBudget, ResponseCache, type ResponseCacheOptions, type VersionCache } from './index.ts';

const open: Scorer[] = [];
afterEach(() => {
  for (const scorer of open.splice(0)) scorer.close();
});

const farAway = (): number => performance.now() + 60_000;

function cacheWith(options: Partial<ResponseCacheOptions> = {}) {
  const looked = { hits: 0, coalesced: 0, misses: 0, size: 0, age: 0 };
  const memory = new CacheBudget(1e9);
  const responses = new ResponseCache(memory, { maxBytes: 1e6, maxAgeMs: 60_000, coalesce: true, ...options });
  const watcher = {
    looked(hits: number, coalesced: number, misses: number) {
      looked.hits += hits;
      looked.coalesced += coalesced;
      looked.misses += misses;
    },
    evicted(reason: 'size' | 'age') {
      looked[reason]++;
    },
  };
  return { responses, memory, looked, watcher, cache: responses.of({}, watcher) };
}

/** A batcher over a graph that gives back what it gets. */
async function identityBatcher(options: ScorerOptions & BatcherOptions = {}) {
  const scorer = await load(passThroughModel(['id', 'twin'], 'string'), options);
  open.push(scorer);
  const runs: number[] = [];
  const batcher = createBatcher(scorer, { ...options, observe: ({ rows }) => runs.push(rows) });
  return { batcher, runs };
}

interface Asked {
  readonly cache?: VersionCache;
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
}

function submit(batcher: Batcher, ids: readonly string[], asked: Asked = {}): Promise<ScoredRows> {
  return batcher.submit((batch) => batch.appendRecords(ids.map((id) => ({ id, twin: `twin of ${id}` }))), {
    deadlineMs: farAway(),
    ...asked,
  });
}

function idsOf({ outputs, firstRow, rows }: ScoredRows): unknown[] {
  return Array.from({ length: rows }, (_, i) => {
    const record = outputs.record(firstRow + i);
    expect(record['out 1']).toBe(`twin of ${record['out 0']}`);
    return record['out 0'];
  });
}

const codeOf = (answer: Promise<unknown>): Promise<unknown> =>
  answer.then(
    () => 'OK',
    (error: unknown) => AssayError.from(error).code,
  );

test('a row that was scored before is answered at once, and is not run', async () => {
  const { batcher, runs } = await identityBatcher();
  const { cache, looked } = cacheWith();
  expect((await submit(batcher, ['a', 'b'], { cache })).cached).toBeUndefined();
  const again = await submit(batcher, ['b', 'c', 'a'], { cache });
  expect(idsOf(again)).toEqual(['b', 'c', 'a']);
  expect(again.cached).toEqual(new Set([0, 2]));
  expect(again.batchRows).toBe(1);
  const whole = await submit(batcher, ['a'], { cache });
  expect([idsOf(whole), whole.cached, whole.batchRows, whole.queueMs]).toEqual([['a'], new Set([0]), 0, 0]);
  expect(runs).toEqual([2, 1]);
  expect(looked).toMatchObject({ hits: 3, coalesced: 0, misses: 3 });
});

test('equal rows that are asked for at the same time are scored once, within a request and across requests', async () => {
  const { batcher, runs } = await identityBatcher();
  const { cache, looked } = cacheWith({ maxBytes: 0 });
  const answers = await Promise.all([
    submit(batcher, ['a', 'b', 'a'], { cache }),
    submit(batcher, ['b'], { cache }),
    submit(batcher, ['c', 'b'], { cache }),
  ]);
  expect(answers.map(idsOf)).toEqual([['a', 'b', 'a'], ['b'], ['c', 'b']]);
  expect(answers.map(({ cached }) => cached)).toEqual([new Set([2]), new Set([0]), new Set([1])]);
  expect(runs).toEqual([3]);
  expect(looked).toMatchObject({ hits: 0, coalesced: 3, misses: 3 });
  expect(cache.followers).toBe(0);
  await submit(batcher, ['a'], { cache });
  expect(runs).toEqual([3, 1]); // nothing may be kept: it is scored again
});

test('where rows are not to be coalesced, equal ones at the same time are all run, and kept once', async () => {
  const { batcher, runs } = await identityBatcher();
  const { cache } = cacheWith({ coalesce: false });
  await Promise.all([submit(batcher, ['a'], { cache }), submit(batcher, ['a', 'a'], { cache })]);
  expect([runs, cache.size]).toEqual([[3], 1]);
});

describe('a follower is scored anew', () => {
  test('when its leader was cancelled or its time was over, and others follow it in turn', async () => {
    const { batcher, runs } = await identityBatcher();
    const { cache } = cacheWith();
    const caller = new AbortController();
    const leader = codeOf(submit(batcher, ['a', 'b'], { cache, signal: caller.signal }));
    const soon = performance.now() + 100;
    const hasty = codeOf(submit(batcher, ['c'], { cache, deadlineMs: soon }));
    const followers = [['a'], ['b', 'x'], ['a', 'b', 'a'], ['c']].map((ids) => submit(batcher, ids, { cache }));
    caller.abort();
    while (performance.now() < soon); // the loop is held up beyond the deadline
    expect([await leader, await hasty]).toEqual(['CANCELLED', 'DEADLINE_EXCEEDED']);
    expect((await Promise.all(followers)).map(idsOf)).toEqual([['a'], ['b', 'x'], ['a', 'b', 'a'], ['c']]);
    expect(runs).toEqual([1, 3]); // x, which led itself; then a, b and c once each
    expect([cache.followers, cache.inFlight.size, cache.size]).toEqual([0, 0, 4]);
  });

  test('when its leader had another row that fails the graph; a row that fails it fails for each who asked', async () => {
    const scorer = await load(lookupModel(), {}, [{ index: 0 }, { index: 1 }]);
    open.push(scorer);
    const batcher = createBatcher(scorer);
    const { cache } = cacheWith();
    const ask = (...indexes: number[]) =>
      batcher.submit((batch) => batch.appendRecords(indexes.map((index) => ({ index }))), {
        deadlineMs: farAway(),
        cache,
      });
    const answers = [ask(1, 1_000_000), ask(1), ask(2, 1), ask(1_000_000), ask(1_000_000, 2), ask(2)];
    expect(await Promise.all(answers.map(codeOf))).toEqual([
      'INVALID_ARGUMENT',
      'OK',
      'OK',
      'INVALID_ARGUMENT',
      'INVALID_ARGUMENT',
      'OK',
    ]);
    expect([cache.followers, cache.inFlight.size]).toEqual([0, 0]);
    expect(await codeOf(ask(1_000_000))).toBe('INVALID_ARGUMENT'); // a failure is not kept
  });

  test('also while the version is being unloaded', async () => {
    const { batcher } = await identityBatcher();
    const { cache } = cacheWith();
    const caller = new AbortController();
    const leader = codeOf(submit(batcher, ['a'], { cache, signal: caller.signal }));
    const follower = submit(batcher, ['a'], { cache });
    caller.abort();
    await Promise.all([batcher.close(), leader]);
    expect(idsOf(await follower)).toEqual(['a']);
    expect(await codeOf(submit(batcher, ['a'], { cache }))).toBe('UNAVAILABLE');
  });
});

test('a follower whose own caller has gone, or whose time is over, is told so', async () => {
  const { batcher } = await identityBatcher();
  const { cache } = cacheWith();
  const caller = new AbortController();
  const leader = submit(batcher, ['a'], { cache });
  const gone = codeOf(submit(batcher, ['a'], { cache, signal: caller.signal }));
  const soon = performance.now() + 100;
  const late = codeOf(submit(batcher, ['a'], { cache, deadlineMs: soon }));
  caller.abort();
  while (performance.now() < soon); // the loop is held up beyond the deadline
  expect([idsOf(await leader), await gone, await late]).toEqual([['a'], 'CANCELLED', 'DEADLINE_EXCEEDED']);
});

test('what the cache answers needs no room in the queue; what does not fit is refused and leaves nothing behind', async () => {
  const { batcher, runs } = await identityBatcher({ maxQueueRows: 2 });
  const { cache } = cacheWith();
  await submit(batcher, ['a'], { cache });
  const waiting = submit(batcher, ['b', 'c'], { cache });
  expect(idsOf(await submit(batcher, ['a'], { cache }))).toEqual(['a']);
  const refused = codeOf(submit(batcher, ['d', 'a'], { cache }));
  expect(await refused).toBe('OVERLOADED');
  expect(idsOf(await waiting)).toEqual(['b', 'c']);
  expect(idsOf(await submit(batcher, ['d', 'a'], { cache }))).toEqual(['d', 'a']);
  expect(runs).toEqual([1, 2, 1]);
});

test('no more rows follow others than may be queued', async () => {
  const { batcher, runs } = await identityBatcher({ maxQueueRows: 3 });
  const { cache } = cacheWith();
  const answers = Array.from({ length: 5 }, () => submit(batcher, ['a'], { cache }));
  expect((await Promise.all(answers)).map(idsOf)).toEqual(Array(5).fill(['a']));
  expect(runs).toEqual([2]); // the first, and the fifth by itself
});

test('rows are told apart by their bits, in every type, and texts by where they end', async () => {
  const scorer = await load(identityModel());
  open.push(scorer);
  const batcher = createBatcher(scorer);
  const { cache, looked } = cacheWith();
  const base = { real: 0, single: 0, count: 1n, word: 'a', flag: true, at: '2026-01-31T12:00:00Z' };
  const records = [
    base,
    { ...base, real: -0 },
    { ...base, single: -0 },
    { ...base, count: 2n ** 60n },
    { ...base, count: 2n ** 60n + 1n },
    { ...base, word: 'b' },
    { ...base, flag: false },
    { ...base, at: '2026-01-31T12:00:00.000001Z' },
  ];
  const ask = async () => {
    const append = { deadlineMs: farAway(), cache };
    const { outputs, firstRow } = await batcher.submit((batch) => batch.appendRecords(records), append);
    return records.map((_, i) => outputs.record(firstRow + i));
  };
  const first = await ask();
  expect(new Set(first.map((record) => JSON.stringify(record))).size).toBe(records.length);
  expect(await ask()).toEqual(first);
  expect(looked).toMatchObject({ hits: records.length, coalesced: 0, misses: records.length });

  const { batcher: texts } = await identityBatcher();
  const { cache: ofTexts } = cacheWith();
  const pairs = ['a,bc', 'ab,c', ',abc', 'abc,'].map((pair) => pair.split(','));
  const scored = await texts.submit((batch) => batch.appendRecords(pairs.map(([id, twin]) => ({ id, twin }))), {
    deadlineMs: farAway(),
    cache: ofTexts,
  });
  expect([scored.cached, ofTexts.size]).toEqual([undefined, 4]);
});

test.each(['auto', 'public'] as const)(
  'whoever asks for what and when, beside others who go away, each gets the answers to its own rows (%s call)',
  async (call) => {
    const { batcher } = await identityBatcher({ maxBatchRows: 8, call, maxQueueRows: 100_000 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            ids: fc.array(fc.integer({ min: 0, max: 12 }).map(String), { minLength: 1, maxLength: 12 }),
            goesAway: fc.nat(5).map((n) => n === 0),
            waits: fc.boolean(),
          }),
          { minLength: 1, maxLength: 20 },
        ),
        fc.constantFrom(0, 3000, 1e6),
        fc.boolean(),
        async (requests, maxBytes, coalesce) => {
          const { cache, responses, memory } = cacheWith({ maxBytes, coalesce });
          const answers: Promise<void>[] = [];
          for (const { ids, goesAway, waits } of requests) {
            const caller = new AbortController();
            const asked = submit(batcher, ids, { cache, signal: caller.signal });
            const isRight = (scored: ScoredRows) => expect(idsOf(scored)).toEqual(ids);
            answers.push(
              asked.then(isRight, (error: unknown) => {
                expect([goesAway, AssayError.from(error).code]).toEqual([true, 'CANCELLED']);
              }),
            );
            if (goesAway) caller.abort();
            if (waits) await nextTurn();
          }
          await Promise.all(answers);
          await batcher.drain();
          expect(cache.bytes).toBeLessThanOrEqual(maxBytes);
          expect([cache.followers, cache.inFlight.size, memory.usedBytes]).toEqual([0, 0, cache.bytes]);
          responses.close();
          expect(memory.usedBytes).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  },
);
