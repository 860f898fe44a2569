import { createHash } from 'node:crypto';
import { AssayError, type RoutingSnapshot } from '@assay/contracts';
import type { InputRecord } from '@assay/kafka';
import type { InputBatch, OutputBatch } from '@assay/scoring';
import { afterEach, describe, expect, test } from 'vitest';
import { recordingObserver, routedEndpoint, SIGNATURE, snapshot } from '../domain/fake-versions.ts';
import { createServing, type Serving } from '../domain/serving.ts';
import { createPredictionIds } from './prediction-id.ts';
import { type Judged, scoreRecords } from './score-records.ts';

const running: Serving[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((serving) => serving.close()));
});

/** Serves versions that give their number back; `judge` may throw for the rows of a run. */
async function serve(first: RoutingSnapshot, judge: (rows: readonly { x: number }[]) => void = () => {}) {
  const runs: number[][] = [];
  const serving = createServing({
    routing: {
      next: (after, signal) =>
        after === undefined
          ? Promise.resolve(first)
          : new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    },
    packages: { fetch: async () => '' },
    load: async ({ version }) => ({
      signature: SIGNATURE,
      outputTails: new Map(),
      details: {},
      measured: { oneRowMs: 0.01, fullBatchMs: 0.1 },
      maxBatchRows: 64,
      repeatable: true,
      queuedRows: 0,
      explain: async () => [],
      async score(append) {
        const rows: { x: number }[] = [];
        const batch: Pick<InputBatch, 'rows' | 'scanRecord' | 'truncate' | 'tryAppendRecord'> = {
          get rows() {
            return rows.length;
          },
          scanRecord: () => -1, // as for records that are not in their usual form
          truncate(to) {
            rows.length = to;
          },
          tryAppendRecord(record) {
            const { x } = record as { x?: unknown }; // the tests feed objects only
            if (typeof x !== 'number') return [{ place: 'x', message: 'is missing' }];
            rows.push({ x });
            return undefined;
          },
        };
        append(batch as InputBatch); // stream scoring uses nothing else of it
        runs.push(rows.map(({ x }) => x));
        judge(rows);
        const outputs: Pick<OutputBatch, 'record'> = { record: (row) => ({ version, x: rows[row]?.x }) };
        return {
          outputs: outputs as OutputBatch, // nor of this
          rows: rows.length,
          firstRow: 0,
          queueMs: 0,
          inferenceMs: 0,
          batchRows: rows.length,
        };
      },
      async close() {},
    }),
    observer: recordingObserver(),
    maxConcurrentLoads: 2,
    loadTimeoutMs: 1000,
    retry: { firstMs: 1, maxMs: 10 },
    maxTimeoutMs: 60_000,
    shadowQueueRows: 1,
    responseCacheMaxBytes: 0,
    shadowQueueBytes: 1,
    cached: undefined,
    keep() {},
  });
  running.push(serving);
  serving.start();
  await serving.whenSettled(AbortSignal.timeout(5000));
  const score = (records: readonly InputRecord[], endpoint = 'a') =>
    scoreRecords(
      {
        pipeline: {
          name: 'p',
          endpoint,
          input: 'in',
          output: 'out',
          deadLetters: 'dead',
          group: 'g',
          maxBatchRecords: 500,
        },
        dataplane: serving.dataplane,
        predictionId: createPredictionIds('p', 'cluster'),
        signal: new AbortController().signal,
      },
      records,
    );
  return { score, runs };
}

function records(values: readonly (object | string)[], key?: string): InputRecord[] {
  return values.map((value, i) => ({
    topic: 'in',
    partition: 0,
    offset: BigInt(i),
    timestampMs: 1_700_000_000_000 + i,
    key: key === undefined ? null : Buffer.from(`${key}-${i}`),
    value: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
    headers: {},
  }));
}

function outputsOf({ outcome, record }: Judged): { readonly version: number; readonly x: number } | undefined {
  return outcome === 'result' ? JSON.parse(String(record.value)).outputs : undefined;
}

const one = snapshot(1, routedEndpoint('a', 1, [1]));
const split = snapshot(1, routedEndpoint('a', 1, [1, 2], [5000, 5000]));

test('good records are scored in one run, in their order, whatever is between them', async () => {
  const { score, runs } = await serve(one);
  const judged = await score(records([{ x: 1 }, 'no JSON', { x: 2 }, {}, { x: 3 }]));
  expect(runs).toEqual([[1, 2, 3]]);
  expect(judged.map(({ outcome }) => outcome)).toEqual(['result', 'dead_letter', 'result', 'dead_letter', 'result']);
  expect(judged.flatMap((each) => outputsOf(each) ?? [])).toMatchObject([{ x: 1 }, { x: 2 }, { x: 3 }]);
});

test('records that cannot be scored at all need no run', async () => {
  const { score, runs } = await serve(one);
  const judged = await score(records(['', {}]));
  expect(judged.map(({ outcome }) => outcome)).toEqual(['dead_letter', 'dead_letter']);
  expect(runs).toEqual([]);
});

test('a record on which the model fails is a dead letter, and its neighbours are scored', async () => {
  const { score } = await serve(one, (rows) => {
    if (rows.some(({ x }) => x === 13)) throw new AssayError('INVALID_ARGUMENT', 'the graph refuses 13');
  });
  const judged = await score(records([{ x: 1 }, { x: 13 }, { x: 2 }]));
  expect(judged.map(({ outcome }) => outcome)).toEqual(['result', 'dead_letter', 'result']);
  expect(judged[1]?.record.headers['assay-error-message']).toBe('the graph refuses 13');
});

describe('no record is judged', () => {
  test.each(['OVERLOADED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'INTERNAL'] as const)('by %s', async (code) => {
    const { score } = await serve(one, () => {
      throw new AssayError(code, 'not now');
    });
    await expect(score(records([{ x: 1 }, {}, 'no JSON']))).rejects.toMatchObject({ code });
  });

  test('by an endpoint that is not there', async () => {
    const { score } = await serve(one);
    await expect(score(records(['no JSON']), 'b')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

test.each([
  ['its key', 'customer'],
  ['its place, when it has no key', undefined],
])('a record goes to the variant of %s, each time it is scored', async (_, key) => {
  const { score } = await serve(split);
  const input = records(
    Array.from({ length: 100 }, (__, x) => ({ x })),
    key,
  );
  const versions = async () => (await score(input)).map((judged) => outputsOf(judged)?.version);
  const first = await versions();
  expect(new Set(first)).toEqual(new Set([1, 2]));
  expect(await versions()).toEqual(first);
});

describe('the trace of a prediction', () => {
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const other = `00-${'c'.repeat(32)}-${'d'.repeat(16)}-01`;
  const event = { specversion: '1.0', id: 'e', source: '/s', type: 't' };
  const binary = { ce_specversion: '1.0', ce_id: 'e', ce_source: '/s', ce_type: 't' };
  const structured = { 'content-type': 'application/cloudevents+json' };
  test.each([
    ['its header', { x: 1 }, { traceparent }, traceparent],
    ['the attribute of its event in binary mode', { x: 1 }, { ...binary, ce_traceparent: traceparent }, traceparent],
    [
      'the attribute of its event in structured mode',
      { ...event, traceparent, data: { x: 1 } },
      structured,
      traceparent,
    ],
    [
      'its header, before that',
      { ...event, traceparent: other, data: { x: 1 } },
      { ...structured, traceparent },
      traceparent,
    ],
    ['nothing, where it has none', { x: 1 }, {}, undefined],
    ['nothing, where it has the attribute and is no event', { x: 1 }, { ce_traceparent: traceparent }, undefined],
  ])('is that of %s', async (_, value, headers, expected) => {
    const { score } = await serve(one);
    const [judged] = await score(records([value]).map((record) => ({ ...record, headers })));
    expect([judged?.outcome, judged?.prediction?.traceparent]).toEqual(['result', expected]);
  });
});

test('the id of a prediction is of its pipeline, cluster, topic, partition, offset and time', () => {
  const [record] = records([{ x: 1 }]);
  if (record === undefined) throw new Error('one record was made');
  const idOf = createPredictionIds('p', 'c');
  expect(idOf(record)).toMatch(/^prd_[0-9a-hjkmnp-tv-z]{26}$/);
  expect(createPredictionIds('p', 'c')(record)).toBe(idOf(record));
  const others = [
    createPredictionIds('q', 'c')(record),
    createPredictionIds('p', 'd')(record),
    ...[{ topic: 'other' }, { partition: 1 }, { offset: 1n }, { timestampMs: 1 }].map((change) =>
      idOf({ ...record, ...change }),
    ),
  ];
  expect(new Set([idOf(record), ...others]).size).toBe(others.length + 1);
});

test('the id of a prediction is as the documentation has it', () => {
  const [record] = records([{ x: 1 }]);
  if (record === undefined) throw new Error('one record was made');
  const idOf = createPredictionIds('p', 'cluster');
  const at = { ...record, topic: 'in', partition: 3, timestampMs: 1_769_860_800_000 };
  const source = createHash('sha256').update('["p","cluster","in",3]').digest();
  for (const offset of [0n, 1n, 1023n, 1024n, 1_048_575n, 1_048_576n, 123_456_789_012n]) {
    const bits = BigInt(at.timestampMs) * 2n ** 80n + BigInt(`0x${source.toString('hex', 0, 5)}`) * 2n ** 40n + offset;
    const digits = '0123456789abcdefghjkmnpqrstvwxyz';
    const text = Array.from({ length: 26 }, (_, i) => digits[Number((bits >> BigInt(5 * (25 - i))) & 31n)]).join('');
    expect(idOf({ ...at, offset })).toBe(`prd_${text}`);
  }
});
