import { type PredictionEntry, PredictionsLogged, parse, TOPICS } from '@assay/contracts';
import type { OutputRecord } from '@assay/kafka';
import { createLogger } from '@assay/runtime';
import { expect, test } from 'vitest';
import type { StreamPrediction } from '../kafka/stream-log.ts';
import { scored } from './fake-scored.ts';
import type { LoggedRequest } from './prediction-log.ts';
import { shareOf } from './sampling.ts';
import { createOfferingLog, createTransactionLog, type TransactionLogOptions } from './stream-logs.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
/** As a record of Kafka has it. */
const TRACEPARENT = Buffer.from(`00-${TRACE_ID}-00f067aa0ba902b7-01`);

async function watched(options: Partial<TransactionLogOptions> = {}) {
  const counted = new Map<string, number>();
  const count = (what: string, rows: number) => counted.set(what, (counted.get(what) ?? 0) + rows);
  const log = await createTransactionLog({
    shareOf: () => 1,
    maxRowsPerSecond: 1_000_000,
    newTopics: {},
    log: createLogger({ service: 'test', level: 'silent' }),
    logged: (rows) => count('logged', rows),
    dropped: count,
    ...options,
  });
  return { log, counted };
}

function predictions(count: number, features: (row: number) => unknown = (x) => ({ x })): StreamPrediction[] {
  const rows = scored(count);
  return Array.from({ length: count }, (_, row) => {
    const traceparent = row === 1 ? TRACEPARENT : undefined;
    const asked = { features: () => features(row), traceparent, sizeBytes: 10 };
    return { id: `p-${row}`, atMs: 1_700_000_000_000, scored: rows, row, ...asked };
  });
}

function entriesOf(records: readonly OutputRecord[]): PredictionEntry[] {
  expect(records.every(({ topic }) => topic === TOPICS.predictions)).toBe(true);
  return records.flatMap(({ value }) => parse(PredictionsLogged, JSON.parse(String(value)).data, 'data').predictions);
}

test('what is drawn is in the records of the transaction, and counts once that is committed', async () => {
  const { log, counted } = await watched();
  const drawn = log.draw('flights', predictions(3));
  expect(entriesOf(drawn.records)).toMatchObject([
    { id: 'p-0', door: 'kafka', at: 1_700_000_000_000, endpointName: 'flights', record: '{"x":0}' },
    { id: 'p-1', outputs: '{"version":1}' },
    { id: 'p-2', outputs: '{"version":2}' },
  ]);
  expect(counted).toEqual(new Map());
  drawn.committed();
  expect(counted).toEqual(new Map([['logged', 3]]));
});

test('each has the trace of its record', async () => {
  const { log } = await watched();
  const entries = entriesOf(log.draw('flights', predictions(3)).records);
  expect(entries.map(({ traceId }) => traceId)).toEqual([undefined, TRACE_ID, undefined]);
});

test('the share is that of the endpoint', async () => {
  const { log } = await watched({ shareOf: shareOf({ ratio: 0.5, byEndpoint: { quiet: 0, whole: 1 } }) });
  const drawn = (endpoint: string) => entriesOf(log.draw(endpoint, predictions(1000)).records).length;
  expect(drawn('quiet')).toBe(0);
  expect(drawn('whole')).toBe(1000);
  expect(drawn('other')).toBeGreaterThan(400);
  expect(drawn('other')).toBeLessThan(600);
});

test('no more are logged a second than may be, and the rest is counted', async () => {
  const { log, counted } = await watched({ maxRowsPerSecond: 5 });
  expect(entriesOf(log.draw('flights', predictions(8)).records)).toHaveLength(5);
  expect(counted).toEqual(new Map([['rate', 3]]));
});

test('what no event holds, or no transaction, is dropped and counted; the others are logged', async () => {
  const { log, counted } = await watched();
  const wide = predictions(100, (row) => ({ text: 'x'.repeat(row === 3 ? 500_000 : 20_000) }));
  const { records } = log.draw('flights', wide);
  const entries = entriesOf(records);
  expect(entries.length).toBeGreaterThan(30);
  expect(counted).toEqual(new Map([['too_large', 100 - entries.length]]));
  const sizes = records.map(({ value }) => String(value).length);
  expect(Math.max(...sizes)).toBeLessThan(1024 * 1024);
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(2 * 1024 * 1024);
});

test('an event whose text takes more bytes than an event may have is dropped and counted; nothing fails', async () => {
  const { log, counted } = await watched();
  const drawn = log.draw(
    'flights',
    predictions(2, (row) => ({ text: (row === 0 ? '語' : 'x').repeat(390_000) })),
  );
  expect(entriesOf(drawn.records).map(({ id }) => id)).toEqual(['p-1']);
  drawn.committed();
  expect(counted).toEqual(
    new Map([
      ['too_large', 1],
      ['logged', 1],
    ]),
  );
});

test('a record that cannot be written harms no other', async () => {
  const { log, counted } = await watched();
  const odd = {
    get x() {
      throw new Error('odd');
    },
  };
  const drawn = log.draw(
    'flights',
    predictions(2, (row) => (row === 0 ? odd : {})),
  );
  expect(entriesOf(drawn.records).map(({ id }) => id)).toEqual(['p-1']);
  expect(counted).toEqual(new Map([['unrepresentable', 1]]));
});

test('with another event log they are offered like those of a request, once their transaction is committed', () => {
  const offered: (LoggedRequest & { readonly sizeBytes: number })[] = [];
  const log = createOfferingLog({
    draw: (_scored, sizeBytes) => ({ log: (request) => offered.push({ ...request, sizeBytes }) }),
    queuedRows: 0,
    async close() {},
  });
  const drawn = log.draw('flights', [...predictions(2), ...predictions(1)]);
  expect([drawn.records, offered, log.topics]).toEqual([[], [], []]);
  drawn.committed();
  expect(offered.map(({ door, idOf, recordOf }) => [door, idOf(0), recordOf(0)])).toEqual([
    ['kafka', 'p-0', { x: 0 }],
    ['kafka', 'p-0', { x: 0 }],
  ]);
  expect(offered.map(({ sizeBytes }) => sizeBytes)).toEqual([20, 10]);
  expect([0, 1].map((row) => offered[0]?.traceparentOf?.(row))).toEqual([undefined, TRACEPARENT]);
});
