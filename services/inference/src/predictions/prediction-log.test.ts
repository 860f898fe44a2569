import { AssayError, type Event, type PredictionEntry, PredictionsLogged, parse, TOPICS } from '@assay/contracts';
import { createLogger } from '@assay/runtime';
import { afterEach, describe, expect, test } from 'vitest';
import { scored } from './fake-scored.ts';
import {
  createPredictionLog,
  type EventSink,
  type PredictionLog,
  type PredictionLogOptions,
} from './prediction-log.ts';
import { shareOf } from './sampling.ts';

const opened: PredictionLog[] = [];
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close(0);
});

interface Watched {
  readonly log: PredictionLog;
  readonly dropped: Map<string, number>;
  logged(): number;
}

function watched(sink: EventSink, options: Partial<PredictionLogOptions> = {}): Watched {
  const dropped = new Map<string, number>();
  let logged = 0;
  const log = createPredictionLog({
    sink,
    shareOf: () => 1,
    maxRowsPerSecond: 1_000_000,
    maxQueueRows: 1000,
    maxQueueBytes: 1024 * 1024,
    lingerMs: 1,
    log: createLogger({ service: 'test', level: 'silent' }),
    logged: (rows) => {
      logged += rows;
    },
    dropped: (reason, rows) => dropped.set(reason, (dropped.get(reason) ?? 0) + rows),
    ...options,
  });
  opened.push(log);
  return { log, dropped, logged: () => logged };
}

/** A sink that keeps what it is given. */
function keeping(): EventSink & { entries(): PredictionEntry[]; readonly events: Event[] } {
  const events: Event[] = [];
  return {
    events,
    async publish(topic, more) {
      expect(topic).toBe(TOPICS.predictions);
      events.push(...more);
    },
    entries: () => events.flatMap(({ data }) => parse(PredictionsLogged, data, 'data').predictions),
  };
}

const stuck: EventSink = {
  publish: (_topic, _events, { signal } = {}) =>
    new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
};

const request = (name: string) => ({
  door: 'rest' as const,
  idOf: (row: number) => `${name}-${row}`,
  recordOf: (row: number) => ({ x: row, big: 9_007_199_254_740_993n, zero: -0 }),
});

describe('the log of predictions', () => {
  test('has record, outputs and origin of each, exactly', async () => {
    const sink = keeping();
    const { log, dropped, logged } = watched(sink);
    log.draw(scored(2), 10)?.log(request('a'));
    await log.close(5000);
    expect(sink.entries()).toEqual([
      expect.objectContaining({
        id: 'a-0',
        door: 'rest',
        endpointId: 'ept_flights',
        endpointName: 'flights',
        modelName: 'flights',
        version: 3,
        versionId: 'ver_3',
        routingRevision: 7,
        executionClass: 'class-1',
        record: '{"x":0,"big":9007199254740993,"zero":-0}',
        outputs: '{"version":0}',
      }),
      expect.objectContaining({ id: 'a-1', outputs: '{"version":1}' }),
    ]);
    expect([logged(), dropped.size, log.queuedRows]).toEqual([2, 0, 0]);
  });

  test('says of which row the outputs were used again', async () => {
    const sink = keeping();
    const { log } = watched(sink);
    const { rows, ...from } = scored(2);
    log.draw({ ...from, rows: { ...rows, cached: new Set([1]) } }, 10)?.log(request('a'));
    await log.close(5000);
    expect(sink.entries().map(({ id, cached }) => [id, cached])).toEqual([
      ['a-0', undefined],
      ['a-1', true],
    ]);
  });

  test('holds no more rows than it may while the event log does not answer, and counts what it drops', async () => {
    const { log, dropped } = watched(stuck, { maxQueueRows: 10 });
    for (let i = 0; i < 100; i++) log.draw(scored(1), 10)?.log(request(`r${i}`));
    expect(log.queuedRows).toBe(10);
    expect(dropped).toEqual(new Map([['queue_full', 90]]));
    await log.close(1);
    expect(dropped).toEqual(
      new Map([
        ['queue_full', 90],
        ['closing', 10],
      ]),
    );
    log.draw(scored(1), 10)?.log(request('late'));
    expect(dropped.get('closing')).toBe(11);
  });

  test('holds no more bytes than it may', async () => {
    const { log, dropped } = watched(stuck, { maxQueueBytes: 10_000 });
    for (let i = 0; i < 100; i++) log.draw(scored(1), 1000)?.log(request(`r${i}`));
    expect(log.queuedRows).toBe(9);
    expect(dropped).toEqual(new Map([['queue_full', 91]]));
  });

  test('takes no more a second than it may', async () => {
    const sink = keeping();
    const { log, dropped } = watched(sink, { maxRowsPerSecond: 5 });
    log.draw(scored(8), 10)?.log(request('a'));
    await log.close(5000);
    expect(sink.entries()).toHaveLength(5);
    expect(dropped).toEqual(new Map([['rate', 3]]));
  });

  test('draws the share that it is asked for', async () => {
    const sink = keeping();
    const { log, dropped } = watched(sink, { shareOf: () => 0.5, maxQueueRows: 100_000 });
    log.draw(scored(10_000), 10)?.log(request('a'));
    await log.close(5000);
    expect(sink.entries().length).toBeGreaterThan(4500);
    expect(sink.entries().length).toBeLessThan(5500);
    expect(dropped.size).toBe(0);
  });

  test('draws by the share of the endpoint where it has one of its own', () => {
    const ofOthers = watched(stuck, { shareOf: shareOf({ ratio: 1, byEndpoint: { others: 0 } }) });
    ofOthers.log.draw(scored(10), 10)?.log(request('a'));
    expect(ofOthers.log.queuedRows).toBe(10);
    const ofFlights = watched(stuck, { shareOf: shareOf({ ratio: 1, byEndpoint: { flights: 0 } }) });
    ofFlights.log.draw(scored(10), 10)?.log(request('a'));
    expect(ofFlights.log.queuedRows).toBe(0);
  });

  test('tries again while the event log is away, and drops what it refuses for good', async () => {
    const kept = keeping();
    const answers = [new AssayError('UNAVAILABLE', 'away'), new AssayError('INVALID_ARGUMENT', 'no')];
    const sink: EventSink = {
      async publish(topic, events) {
        const error = answers.shift();
        if (error !== undefined) throw error;
        await kept.publish(topic, events);
      },
    };
    const { log, dropped } = watched(sink);
    log.draw(scored(1), 10)?.log(request('a'));
    await expect.poll(() => dropped.get('refused')).toBe(1);
    log.draw(scored(1), 10)?.log(request('b'));
    await expect.poll(() => kept.entries().map(({ id }) => id)).toEqual(['b-0']);
  });

  test('splits many rows into events that fit, and drops a row that fits in none', async () => {
    const sink = keeping();
    const { log, dropped } = watched(sink, { maxQueueRows: 10_000, maxQueueBytes: 1024 ** 3 });
    const wide = { ...request('a'), recordOf: (row: number) => ({ text: 'x'.repeat(row === 3 ? 500_000 : 1000) }) };
    log.draw(scored(1000), 10)?.log(wide);
    await log.close(10_000);
    expect(sink.entries()).toHaveLength(999);
    expect(dropped).toEqual(new Map([['too_large', 1]]));
    for (const event of sink.events) expect(JSON.stringify(event).length).toBeLessThan(1024 * 1024);
  });

  test('survives a record that cannot be written', async () => {
    const sink = keeping();
    const { log, dropped } = watched(sink);
    const odd = {
      ...request('a'),
      recordOf: (row: number) => {
        if (row === 0) throw new Error('odd');
        return row === 1 ? undefined : {};
      },
    };
    log.draw(scored(3), 10)?.log(odd);
    await log.close(5000);
    expect(sink.entries().map(({ id }) => id)).toEqual(['a-2']);
    expect(dropped).toEqual(new Map([['unrepresentable', 2]]));
  });
});
