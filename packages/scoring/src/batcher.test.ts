import { setImmediate as nextTurn } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import fc from 'fast-check';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createBatcher } from './batcher.ts';
import type { Batcher, BatcherOptions, OutputBatch, ScoredRows, Scorer, ScorerOptions } from './interfaces.ts';
import { load } from './testing/load.ts';
import { lookupModel, passThroughModel } from './testing/models.ts';

const open: Scorer[] = [];
afterEach(() => {
  for (const scorer of open.splice(0)) scorer.close();
});

const farAway = (): number => performance.now() + 60_000;

/** A batcher over a graph that gives back what it gets. */
async function identityBatcher(
  options: ScorerOptions & BatcherOptions = {},
): Promise<{ batcher: Batcher; runs: number[]; scorer: Scorer }> {
  const scorer = await load(passThroughModel(['id', 'twin'], 'string'), options);
  open.push(scorer);
  const runs: number[] = [];
  const batcher = createBatcher(scorer, { ...options, observe: ({ rows }) => runs.push(rows) });
  return { batcher, runs, scorer };
}

function submit(
  batcher: Batcher,
  ids: readonly string[],
  deadlineMs = farAway(),
  signal?: AbortSignal,
): Promise<ScoredRows> {
  return batcher.submit((batch) => batch.appendRecords(ids.map((id) => ({ id, twin: `twin of ${id}` }))), {
    deadlineMs,
    ...(signal === undefined ? {} : { signal }),
  });
}

function idsOf({ outputs, firstRow, rows }: ScoredRows): unknown[] {
  return Array.from({ length: rows }, (_, i) => {
    const record = outputs.record(firstRow + i);
    expect(record['out 1']).toBe(`twin of ${record['out 0']}`);
    return record['out 0'];
  });
}

test('rows that arrive in one turn of the event loop are run as one', async () => {
  const { batcher, runs } = await identityBatcher();
  const scored = await Promise.all([submit(batcher, ['a']), submit(batcher, ['b', 'c']), submit(batcher, ['d'])]);
  expect(scored.map(idsOf)).toEqual([['a'], ['b', 'c'], ['d']]);
  expect(runs).toEqual([4]);
  expect(scored[0]?.batchRows).toBe(4);
});

test('an idle version answers within the turn, by no timer', async () => {
  const { batcher } = await identityBatcher();
  let answered = false;
  void submit(batcher, ['a']).then(() => {
    answered = true;
  });
  await nextTurn();
  await nextTurn();
  expect(answered).toBe(true);
});

test('who is alone is run at once by an idle version, and by a busy one like all others', async () => {
  const { batcher, runs } = await identityBatcher();
  const alone = (id: string) =>
    batcher.submit((batch) => batch.appendRecords([{ id, twin: `twin of ${id}` }]), {
      deadlineMs: farAway(),
      isAlone: true,
    });
  const first = alone('a');
  expect(runs).toEqual([1]);
  const rest = [submit(batcher, ['b']), alone('c')];
  expect(runs).toEqual([1]);
  expect((await Promise.all([first, ...rest])).map(idsOf)).toEqual([['a'], ['b'], ['c']]);
  expect(runs).toEqual([1, 2]);
});

test('a short batch is run as soon as it is full, and what comes behind it at the end of the turn', async () => {
  const { batcher, runs } = await identityBatcher({ maxBatchRows: 2 });
  const ids = ['a', 'b', 'c', 'd', 'e'];
  const scored = ids.map((id) => submit(batcher, [id]));
  expect(runs).toEqual([2, 2]);
  expect(batcher.queuedRows).toBe(1);
  let isDrained = false;
  const drained = batcher.drain().then(() => {
    isDrained = true;
  });
  expect((await Promise.all(scored.slice(0, 4))).map(idsOf)).toEqual([['a'], ['b'], ['c'], ['d']]);
  expect(isDrained).toBe(false);
  expect(idsOf((await scored[4]) as ScoredRows)).toEqual(['e']);
  await drained;
  expect(runs).toEqual([2, 2, 1]);
});

test('a full batch that takes long is run at the end of the turn, so that others are served first', async () => {
  const { scorer } = await identityBatcher({ maxBatchRows: 2 });
  const runs: number[] = [];
  const slow: Scorer = Object.create(scorer, { measured: { value: { oneRowUs: 5000, fullBatchUs: 10_000 } } });
  const batcher = createBatcher(slow, { observe: ({ rows }) => runs.push(rows) });
  const scored = ['a', 'b', 'c'].map((id) => submit(batcher, [id]));
  expect(runs).toEqual([]);
  await nextTurn();
  expect(runs).toEqual([2]);
  expect((await Promise.all(scored)).map(idsOf)).toEqual([['a'], ['b'], ['c']]);
  expect(runs).toEqual([2, 1]);
});

test('while a run is under way elsewhere no other is begun, however many batches are full', async () => {
  const { scorer } = await identityBatcher({ maxBatchRows: 2 });
  let [running, most] = [0, 0];
  const elsewhere: Scorer = Object.create(scorer, {
    run: {
      value: async (...args: Parameters<Scorer['run']>) => {
        most = Math.max(most, ++running);
        await nextTurn();
        await nextTurn();
        running--;
        return scorer.run(...args);
      },
    },
  });
  const batcher = createBatcher(elsewhere);
  const ids = Array.from({ length: 11 }, (_, i) => `id-${i}`);
  const scored = await Promise.all(ids.map((id) => submit(batcher, [id])));
  expect(scored.map(idsOf)).toEqual(ids.map((id) => [id]));
  expect(most).toBe(1);
  await batcher.close();
});

test.each(['auto', 'public'] as const)(
  'whatever is submitted and when, each caller gets its own rows (%s call)',
  async (call) => {
    const { batcher, runs } = await identityBatcher({ maxBatchRows: 8, call, maxQueueRows: 100_000 });
    let next = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            rows: fc.integer({ min: 1, max: 30 }),
            wait: fc.boolean(),
            poison: fc.integer({ min: 0, max: 9 }),
          }),
          { maxLength: 12 },
        ),
        async (requests) => {
          const waiting: { ids: string[]; poison: number; scored: Promise<unknown> }[] = [];
          for (const { rows, wait, poison } of requests) {
            const ids = Array.from({ length: rows }, () => `id-${next++}`);
            const sent = poison === 0 ? [...ids.slice(1), 5 as unknown as string] : ids;
            waiting.push({ ids, poison, scored: submit(batcher, sent).catch((error: unknown) => error) });
            if (wait) await nextTurn();
          }
          for (const { ids, poison, scored } of waiting) {
            const result = await scored;
            if (poison === 0) expect(result).toMatchObject({ code: 'INVALID_ARGUMENT' });
            else expect(idsOf(result as ScoredRows)).toEqual(ids);
          }
        },
      ),
      { numRuns: 100 },
    );
    expect(batcher.queuedRows).toBe(0);
    expect(Math.max(...runs)).toBe(8);
  },
);

test('a request of more rows than one run takes comes back whole, and others are served between its runs', async () => {
  const { batcher, runs } = await identityBatcher({ maxBatchRows: 10 });
  const ids = Array.from({ length: 95 }, (_, i) => `big-${i}`);
  const order: string[] = [];
  const big = submit(batcher, ids).then((scored) => {
    order.push('big');
    return scored;
  });
  const small = submit(batcher, ['small']).then((scored) => {
    order.push('small');
    return scored;
  });
  expect(idsOf(await big)).toEqual(ids);
  expect(idsOf(await small)).toEqual(['small']);
  expect(runs).toEqual([10, 10, 10, 10, 10, 10, 10, 10, 10, 5, 1]);
  expect(order).toEqual(['big', 'small']);
});

describe('a request that is wrong fails alone', () => {
  test('when the encoder refuses it', async () => {
    const { batcher, runs } = await identityBatcher();
    const good = submit(batcher, ['a']);
    const bad = batcher.submit((batch) => batch.appendRecords([{ id: 'b', twin: 'c' }, { id: 3 }]), {
      deadlineMs: farAway(),
    });
    const alsoGood = submit(batcher, ['d']);
    await expect(bad).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      details: [{ place: 'records[1].id' }, { place: 'records[1].twin' }],
    });
    expect(idsOf(await good)).toEqual(['a']);
    expect(idsOf(await alsoGood)).toEqual(['d']);
    expect(runs).toEqual([2]);
  });

  test.each(['auto', 'public'] as const)('when the graph fails on it (%s call)', async (call) => {
    const scorer = await load(lookupModel(), { call, maxBatchRows: 4 }, [{ index: 0 }, { index: 2 }]);
    open.push(scorer);
    const batcher = createBatcher(scorer);
    const look = (...indices: number[]) =>
      batcher.submit((batch) => batch.appendRecords(indices.map((index) => ({ index }))), { deadlineMs: farAway() });
    const words = ({ outputs, firstRow, rows }: ScoredRows) =>
      Array.from({ length: rows }, (_, i) => outputs.record(firstRow + i).word);
    const results = await Promise.allSettled([look(0), look(99), look(1, 2, 0, 1, 2, 0), look(7, 1), look(2)]);
    expect(
      results.map((result) =>
        result.status === 'fulfilled' ? words(result.value) : AssayError.from(result.reason).code,
      ),
    ).toEqual([
      ['zero'],
      'INVALID_ARGUMENT',
      ['one', 'two', 'zero', 'one', 'two', 'zero'],
      'INVALID_ARGUMENT',
      ['two'],
    ]);
    expect(batcher.queuedRows).toBe(0);
    expect(words(await look(1))).toEqual(['one']);
  });

  test('when its callback throws something else, or appends nothing', async () => {
    const { batcher } = await identityBatcher();
    const broken = batcher.submit(
      () => {
        throw new Error('a bug');
      },
      { deadlineMs: farAway() },
    );
    const empty = batcher.submit(() => 0, { deadlineMs: farAway() });
    await expect(broken).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(empty).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(idsOf(await submit(batcher, ['a']))).toEqual(['a']);
  });
});

describe('what nobody waits for is not run', () => {
  test('expired or cancelled rows are dropped, their neighbours stay', async () => {
    const { batcher, runs } = await identityBatcher();
    const leaving = new AbortController();
    const first = submit(batcher, ['a', 'b']);
    const cancelled = submit(batcher, ['c', 'd', 'e'], farAway(), leaving.signal);
    const soon = performance.now() + 5;
    const late = submit(batcher, ['f'], soon);
    const last = submit(batcher, ['g']);
    leaving.abort();
    while (performance.now() < soon); // the event loop is held past the deadline
    expect(await Promise.allSettled([cancelled, late])).toMatchObject([
      { reason: { code: 'CANCELLED' } },
      { reason: { code: 'DEADLINE_EXCEEDED' } },
    ]);
    expect(idsOf(await first)).toEqual(['a', 'b']);
    expect(idsOf(await last)).toEqual(['g']);
    expect(runs).toEqual([3]);
  });

  test('rows that come too late are refused before they are looked at', async () => {
    const { batcher, runs } = await identityBatcher();
    let looked = false;
    const append = () => {
      looked = true;
      return 1;
    };
    await expect(batcher.submit(append, { deadlineMs: performance.now() - 1 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    await expect(batcher.submit(append, { deadlineMs: farAway(), signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expect(looked).toBe(false);
    expect(runs).toEqual([]);
  });
});

describe('overload is refused at once', () => {
  test('when the queue is full', async () => {
    const { batcher } = await identityBatcher({ maxQueueRows: 10 });
    const accepted = submit(
      batcher,
      Array.from({ length: 8 }, (_, i) => `a${i}`),
    );
    await expect(submit(batcher, ['b', 'c', 'd'])).rejects.toMatchObject({ code: 'OVERLOADED', retryable: true });
    const fits = submit(batcher, ['e', 'f']);
    await expect(submit(batcher, ['g'])).rejects.toMatchObject({ code: 'OVERLOADED' });
    await expect(
      submit(
        batcher,
        Array.from({ length: 11 }, () => 'h'),
      ),
    ).rejects.toMatchObject({ code: 'OVERLOADED' });
    expect(idsOf(await accepted)).toHaveLength(8);
    expect(idsOf(await fits)).toEqual(['e', 'f']);
    await expect(
      submit(
        batcher,
        Array.from({ length: 11 }, () => 'h'),
      ),
    ).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  test('when the measured cost of the queue ahead leaves no time, and says when to come back', async () => {
    const { scorer } = await identityBatcher();
    const hourUs = 3600e6;
    const slow: Scorer = { ...scorer, measured: { oneRowUs: hourUs, fullBatchUs: hourUs } };
    const batcher = createBatcher(slow);
    const first = submit(batcher, ['a']);
    const refused = await submit(batcher, ['b']).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'OVERLOADED', message: expect.stringContaining('the deadline leaves') });
    expect((refused as AssayError).retryAfterMs).toBeGreaterThanOrEqual(hourUs / 1000);
    // An idle version tries even so: the estimate may be wrong.
    expect(idsOf(await first)).toEqual(['a']);
    expect(idsOf(await submit(batcher, ['c']))).toEqual(['c']);
  });
});

describe('admission', () => {
  const ROW_MS = 2;
  const MAX_BATCH_ROWS = 8;

  /** A version whose runs take what was measured, on a clock that nothing else moves. */
  async function onItsOwnClock() {
    const { scorer } = await identityBatcher();
    let nowMs = 1000;
    vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
    onTestFinished(() => void vi.restoreAllMocks());
    const timed: Scorer = {
      ...scorer,
      maxBatchRows: MAX_BATCH_ROWS,
      measured: { oneRowUs: ROW_MS * 1000, fullBatchUs: MAX_BATCH_ROWS * ROW_MS * 1000 },
      run(batch, from = 0, rows = batch.rows) {
        nowMs += rows * ROW_MS;
        return scorer.run(batch, from, rows);
      },
    };
    const batcher = createBatcher(timed);
    return {
      batcher,
      now: () => nowMs,
      pass: (ms: number) => {
        nowMs += ms;
      },
      ask: (id: string, rows: number, timeoutMs: number) =>
        submit(
          batcher,
          Array.from({ length: rows }, (_, row) => `${id}.${row}`),
          nowMs + timeoutMs,
        ),
    };
  }

  test('judges a request by all of its rows', async () => {
    const { batcher, ask } = await onItsOwnClock();
    const first = ask('first', 4, 100);
    await expect(ask('many', 60, 100)).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: 4 * ROW_MS });
    expect(batcher.queuedRows).toBe(4);
    const fits = ask('fits', 40, 100);
    expect([idsOf(await first).length, idsOf(await fits).length]).toEqual([4, 40]);
  });

  test('of an idle version tries what it expects to be late: the estimate may be wrong', async () => {
    const { ask } = await onItsOwnClock();
    expect(idsOf(await ask('many', 60, 100))).toHaveLength(60);
  });

  test('takes what ends in time, refuses what does not, and goes on when the queue is short again', async () => {
    const timeoutMs = 100;
    const request = fc.record({ rows: fc.integer({ min: 1, max: 30 }), turnsBefore: fc.integer({ min: 0, max: 2 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 20, maxLength: 80 }), async (requests) => {
        const { batcher, now, ask } = await onItsOwnClock();
        const outcomes: Promise<void>[] = [];
        for (const [i, { rows, turnsBefore }] of requests.entries()) {
          for (let turn = 0; turn < turnsBefore; turn++) await nextTurn();
          const deadlineMs = now() + timeoutMs;
          const queuedRows = batcher.queuedRows;
          const admitted = (scored: ScoredRows): void => {
            expect(idsOf(scored)).toEqual(Array.from({ length: rows }, (_, row) => `r${i}.${row}`));
            // What came later may share the last run.
            expect(now()).toBeLessThanOrEqual(deadlineMs + (MAX_BATCH_ROWS - 1) * ROW_MS);
          };
          const refused = (error: AssayError): void => {
            expect(error.code).toBe('OVERLOADED');
            expect(queuedRows).toBeGreaterThan(0);
          };
          outcomes.push(ask(`r${i}`, rows, timeoutMs).then(admitted, refused));
        }
        await Promise.all(outcomes);
        expect(batcher.queuedRows).toBe(0);
        expect(idsOf(await ask('afterwards', 1, timeoutMs))).toEqual(['afterwards.0']);
      }),
      { numRuns: 30 },
    );
  });

  test('drops what expired before it runs, and runs what waits behind it', async () => {
    const { ask, now, pass } = await onItsOwnClock();
    const startMs = now();
    const first = ask('first', 8, 1000);
    const hurried = expect(ask('hurried', 2, 30)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    const patient = ask('patient', 3, 1000);
    pass(30);
    expect([await first, await patient].map((scored) => scored.rows)).toEqual([8, 3]);
    await hurried;
    expect(now() - startMs).toBe(30 + 11 * ROW_MS);
  });
});

test('a request is pending from when it is queued until its first run begins, or it is dropped', async () => {
  const { scorer } = await identityBatcher();
  const runs: (() => void)[] = [];
  const batcher = createBatcher({
    ...scorer,
    maxBatchRows: 2,
    measured: { oneRowUs: 5000, fullBatchUs: 10_000 }, // too long to be run at once
    run: (...args) => new Promise((resolve) => runs.push(() => resolve(scorer.run(...args)))),
  });
  const begun = (count: number) => vi.waitFor(() => expect(runs).toHaveLength(count));
  const pending = { pendingRequests: 0 };
  const ask = (ids: readonly unknown[], signal = new AbortController().signal) =>
    batcher.submit((batch) => batch.appendRecords(ids.map((id) => ({ id, twin: `twin of ${id}` }))), {
      deadlineMs: farAway(),
      signal,
      pending,
    });
  const caller = new AbortController();
  await expect(ask([5])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  expect(pending.pendingRequests).toBe(0);
  const [fills, takesTwoRuns, goes] = [ask(['a', 'b']), ask(['c', 'd', 'e']), ask(['f'], caller.signal)];
  expect(pending.pendingRequests).toBe(3);
  await begun(1);
  expect(pending.pendingRequests).toBe(2);
  runs[0]?.();
  await begun(2);
  expect(pending.pendingRequests).toBe(1);
  runs[1]?.();
  await begun(3);
  expect(pending.pendingRequests).toBe(1);
  caller.abort();
  runs[2]?.();
  await expect(goes).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(pending.pendingRequests).toBe(0);
  expect([idsOf(await fills), idsOf(await takesTwoRuns)]).toEqual([
    ['a', 'b'],
    ['c', 'd', 'e'],
  ]);
  await batcher.drain();
  expect(pending.pendingRequests).toBe(0);
});

describe('closing', () => {
  test('finishes what waits and refuses what comes', async () => {
    const { batcher } = await identityBatcher();
    const waiting = submit(batcher, ['a']);
    const closed = batcher.close();
    await expect(submit(batcher, ['b'])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await closed;
    expect(batcher.queuedRows).toBe(0);
    expect(idsOf(await waiting)).toEqual(['a']);
    await batcher.close();
  });

  test('an idle batcher is drained already', async () => {
    const { batcher } = await identityBatcher();
    await batcher.drain();
    await submit(batcher, ['a']);
    await batcher.drain();
    expect(batcher.queuedRows).toBe(0);
  });

  test('a scorer that was unloaded fails every caller', async () => {
    const { batcher, scorer } = await identityBatcher();
    const waiting = [submit(batcher, ['a']), submit(batcher, ['b'])];
    scorer.close();
    for (const result of await Promise.allSettled(waiting)) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } });
    }
    expect(batcher.queuedRows).toBe(0);
  });
});

test('outputs may be kept after the batch is used again', async () => {
  const { batcher } = await identityBatcher();
  const kept: { outputs: OutputBatch; firstRow: number; id: string }[] = [];
  for (let i = 0; i < 20; i++) {
    const id = `kept-${i}`;
    const { outputs, firstRow } = await submit(batcher, [id]);
    kept.push({ outputs, firstRow, id });
  }
  for (const { outputs, firstRow, id } of kept) expect(outputs.record(firstRow)['out 0']).toBe(id);
});
