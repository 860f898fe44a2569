/** How the exactly-once runner works through its records, on a real broker. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Commit,
  type ExactlyOnceObserver,
  type InputRecord,
  type OutputRecord,
  superviseExactlyOnce,
  type Transform,
  watchLag,
} from '@assay/kafka';
import type { Kafka } from 'kafkajs';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type Broker, startBroker } from '../parts/broker.ts';
import { readCommitted } from './checker.ts';
import { connect, feed, makeTopics, pipelineOf } from './streams.ts';

const WAIT_MS = 60_000;
/** The shortest that brokers take. */
const SESSION_MS = 6000;

let broker: Broker;
let kafka: Kafka;

beforeAll(async () => {
  broker = await startBroker();
  kafka = await connect(broker.bootstrap);
});
afterAll(async () => {
  await broker?.[Symbol.asyncDispose]();
});

/** Topics with these records, all of one key and so of one partition. */
async function topicsWith(name: string, values: readonly string[]) {
  const topics = pipelineOf(name, 'none');
  await makeTopics(kafka, topics);
  await feed(
    kafka,
    topics.input,
    values.map((value) => ({ key: 'a', value })),
  );
  return topics;
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i));

function start(
  { name, input, output }: { name: string; input: string; output: string },
  transform: (records: readonly InputRecord[], output: string) => Promise<readonly OutputRecord[]>,
  observer: ExactlyOnceObserver,
) {
  const stop = new AbortController();
  const runs: Transform = (records) => transform(records, output);
  const pipeline = {
    kafka: { brokers: [broker.bootstrap], clientId: 'runner' },
    input,
    outputs: [output],
    group: name,
    maxBatchRecords: 100,
    sessionTimeoutMs: SESSION_MS,
  };
  const running = superviseExactlyOnce(pipeline, runs, stop.signal, observer);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

const copy = ({ key, value, headers }: InputRecord, topic: string): OutputRecord => ({ topic, key, value, headers });

async function outputOf(topic: string, count: number): Promise<string[]> {
  const found = await readCommitted(broker.bootstrap, [topic], (all) => all.length >= count, {
    timeoutMs: WAIT_MS,
    quietMs: 500,
  });
  return found.map(({ value }) => String(value));
}

it('a transform that takes longer than the session keeps its partitions', async () => {
  const topics = await topicsWith('slow', numbers(10));
  const assigned: (readonly number[])[] = [];
  await using _ = start(
    topics,
    async (records, output) => {
      await delay(SESSION_MS + 3000);
      return records.map((record) => copy(record, output));
    },
    { onAssigned: (partitions) => assigned.push(partitions) },
  );
  expect(await outputOf(topics.output, 10)).toEqual(numbers(10));
  expect(assigned.length).toBe(1);
});

it('the next records are transformed while those before are committed, and no further ahead', async () => {
  const topics = await topicsWith('ahead', numbers(500));
  const order: string[] = [];
  await using _ = start(
    topics,
    async (records, output) => {
      order.push(`transform ${records[0]?.value}`);
      return records.map((record) => copy(record, output));
    },
    { onCommitted: ({ results }: Commit) => order.push(`committed ${results[0]?.value}`) },
  );
  expect(await outputOf(topics.output, 500)).toEqual(numbers(500));
  expect(order).toEqual([
    ...['transform 0', 'transform 100', 'committed 0', 'transform 200', 'committed 100', 'transform 300'],
    ...['committed 200', 'transform 400', 'committed 300', 'committed 400'],
  ]);
});

it('results larger than a batch of the log may be are one transaction all the same', async () => {
  const topics = await topicsWith('large', numbers(100));
  const commits: number[] = [];
  await using _ = start(
    topics,
    async (records, output) =>
      records.map(({ key, value, headers }) => ({ topic: output, key, value: `${value} `.repeat(10_000), headers })),
    { onCommitted: ({ records }) => commits.push(records) },
  );
  const found = await outputOf(topics.output, 100);
  expect(found.map((value) => value.split(' ')[0])).toEqual(numbers(100));
  expect(found.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThan(2 * 1024 * 1024);
  expect(commits).toEqual([100]);
});

it('the lag of a group is what it has not committed, whether anybody consumes or not', async () => {
  const topics = await topicsWith('lag', numbers(10));
  const admin = kafka.admin();
  await admin.connect();
  // A broker may not know yet that it leads a topic that was made just now.
  const ends = await vi.waitFor(() => admin.fetchTopicOffsets(topics.input), { timeout: WAIT_MS });
  const partition = ends.find(({ high }) => high === '10')?.partition ?? -1;
  const stop = new AbortController();
  const seen = new Map<number, number>();
  const watching = watchLag(
    {
      kafka: { brokers: [broker.bootstrap], clientId: 'lag' },
      group: topics.name,
      topic: topics.input,
      partitions: () => [partition],
      onLag: (of, lag) => seen.set(of, lag),
      everyMs: 50,
    },
    stop.signal,
  );
  const lag = async (expected: number) =>
    expect.poll(() => [...seen], { timeout: WAIT_MS }).toEqual([[partition, expected]]);
  await lag(10); // nothing is committed yet
  await admin.setOffsets({ groupId: topics.name, topic: topics.input, partitions: [{ partition, offset: '3' }] });
  await lag(7);
  await feed(kafka, topics.input, [{ key: 'a', value: 'one more' }]);
  await lag(8);
  stop.abort();
  await watching;
  await admin.disconnect();
});
