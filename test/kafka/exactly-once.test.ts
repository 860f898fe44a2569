import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ensureTopics, openKafka } from '@assay/kafka';
import type { Kafka } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimPartition } from '../../packages/kafka/src/claim.ts';
import { type Broker, startBroker } from '../parts/broker.ts';
import { judge, readCommitted } from './checker.ts';

const PARTITIONS = 6;
/** `make soak` runs the long form. */
const RECORDS = Number(process.env.SOAK_RECORDS ?? 10_000);
const KILLS = Number(process.env.SOAK_KILLS ?? 4);
const FREEZES = Number(process.env.SOAK_FREEZES ?? 1);
const RESTARTS = Number(process.env.SOAK_RESTARTS ?? 1);
const WORKER = fileURLToPath(new URL('./doubling-worker.ts', import.meta.url));
const SESSION_MS = 6000;

let broker: Broker;
let kafka: Kafka;

beforeAll(async () => {
  broker = await startBroker();
  kafka = await openKafka(
    { brokers: [broker.bootstrap], clientId: 'test' },
    { initialRetryTimeMs: 50, maxRetryTimeMs: 2000, retries: 20 },
  );
});
afterAll(async () => {
  await broker?.[Symbol.asyncDispose]();
});

interface Topics {
  readonly input: string;
  readonly output: string;
  readonly deadLetters: string;
  readonly group: string;
}

async function makeTopics(name: string): Promise<Topics> {
  const topics = { input: `${name}.in`, output: `${name}.out`, deadLetters: `${name}.dead`, group: name };
  const admin = kafka.admin();
  await admin.connect();
  await ensureTopics(
    admin,
    [topics.input, topics.output, topics.deadLetters].map((topic) => ({ topic, partitions: PARTITIONS })),
    AbortSignal.timeout(20_000),
  );
  await admin.disconnect();
  return topics;
}

/** Zipf-like: a tenth of the keys takes most of the records. Gives the sources, `partition:offset`. */
async function feed(topic: string, from: number, count: number): Promise<string[]> {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const sources: string[] = [];
  for (let sent = 0; sent < count; sent += 500) {
    const messages = Array.from({ length: Math.min(500, count - sent) }, (_, i) => {
      const n = from + sent + i;
      const value = n % 97 === 0 ? '{"n":"not a number"}' : JSON.stringify({ n });
      return { key: `key-${Math.floor(40 * (((n * 7919) % 1000) / 1000) ** 3)}`, value };
    });
    for (const { partition, baseOffset } of await producer.send({ topic, acks: -1, messages })) {
      sources.push(`${partition}:${baseOffset}`);
    }
  }
  await producer.disconnect();
  return sources;
}

/** Every source of a topic: the offsets of each partition from its beginning to its end. */
async function sourcesOf(topic: string): Promise<string[]> {
  const admin = kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  return offsets.flatMap(({ partition, low, high }) =>
    Array.from({ length: Number(high) - Number(low) }, (_, i) => `${partition}:${Number(low) + i}`),
  );
}

interface Worker {
  readonly process: ChildProcess;
  readonly lines: string[];
}

const workers = new Set<Worker>();

function startWorker(topics: Topics, options: object = {}): Worker {
  const argument = JSON.stringify({
    kafka: { brokers: [broker.bootstrap] },
    ...topics,
    maxBatchRecords: 100,
    sessionTimeoutMs: SESSION_MS,
    ...options,
  });
  const child = spawn(process.execPath, [WORKER, argument], { stdio: ['ignore', 'pipe', 'inherit'] });
  const worker: Worker = { process: child, lines: [] };
  child.stdout.setEncoding('utf8').on('data', (text: string) => worker.lines.push(...text.trim().split('\n')));
  workers.add(worker);
  child.on('close', () => workers.delete(worker));
  return worker;
}

async function stopWorkers(): Promise<void> {
  await Promise.all(
    [...workers].map(async ({ process: child }) => {
      const closed = once(child, 'close');
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      await closed;
    }),
  );
}

async function committed(worker: Worker, timeoutMs = 60_000): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (worker.lines.some((line) => line.includes('committed'))) return true;
    await delay(50);
  }
  return false;
}

async function check(topics: Topics) {
  const sources = await sourcesOf(topics.input);
  const found = await readCommitted(
    broker.bootstrap,
    [topics.output, topics.deadLetters],
    (all) => all.length >= sources.length,
    { timeoutMs: 120_000, quietMs: 3000 },
  );
  return { sources, found, verdict: judge(sources, found) };
}

describe('exactly once', () => {
  it('every input is one result or one dead letter, in order within its key, with its key and headers', async () => {
    const topics = await makeTopics('plain');
    await feed(topics.input, 0, 2000);
    startWorker(topics);
    const { sources, found, verdict } = await check(topics);
    await stopWorkers();
    expect(sources.length).toBe(2000);
    expect(verdict).toEqual({ inputs: 2000, doubled: [], lost: [], outOfOrder: [] });
    expect(found.filter(({ topic }) => topic === topics.deadLetters).length).toBe(Math.ceil(2000 / 97));
    for (const { topic, value } of found) {
      if (topic !== topics.output) continue;
      const { n, doubled } = JSON.parse(String(value));
      expect(doubled).toBe(2 * n);
    }
  });

  it(`holds while workers are killed ${KILLS} times, join and leave, freeze past their session, and the broker restarts`, async () => {
    const topics = await makeTopics('faults');
    // Records keep coming until the last fault is over: whoever is killed has work under way.
    let fed = 0;
    let isOver = false;
    const feeding = (async () => {
      while (!isOver || fed < RECORDS) {
        // The broker restarts meanwhile. What was written is read from the topic, so that a slice may be sent again.
        await feed(topics.input, fed, 200).then(
          () => {
            fed += 200;
          },
          () => undefined,
        );
        await delay(200);
      }
    })();
    startWorker(topics);
    let committing = 0;
    for (let i = 0; i < KILLS; i++) {
      const victim = startWorker(topics, { transformMs: 5 * (i % 3) });
      if (await committed(victim)) committing++;
      await delay((i * 37) % 200);
      victim.process.kill('SIGKILL');
      if (i === Math.floor(KILLS / 2)) await broker.restart();
    }
    for (let i = 0; i < FREEZES; i++) {
      const sleeper = startWorker(topics, { transformMs: 20 });
      await committed(sleeper);
      sleeper.process.kill('SIGSTOP');
      await delay(SESSION_MS + 3000);
      sleeper.process.kill('SIGCONT');
    }
    isOver = true;
    await feeding;
    const { sources, verdict } = await check(topics);
    await stopWorkers();
    expect(sources.length).toBeGreaterThanOrEqual(RECORDS);
    expect(verdict).toEqual({ inputs: sources.length, doubled: [], lost: [], outOfOrder: [] });
    expect(committing).toBeGreaterThan(KILLS / 2); // else the kills met nobody at work
  });
});

it(`holds while the only broker is stopped in good order ${RESTARTS} times, with commits under way`, {
  timeout: 60_000 + RESTARTS * 40_000,
}, async () => {
  const topics = await makeTopics('restarts');
  let isOver = false;
  let fed = 0;
  const feeding = (async () => {
    while (!isOver) {
      await feed(topics.input, fed, 100).then(
        () => {
          fed += 100;
        },
        () => undefined, // the broker is away: what was written is read from the topic
      );
      await delay(200); // no faster than transactions of 20 records are: all of it is judged at the end
    }
  })();
  const worker = startWorker(topics, { maxBatchRecords: 20 });
  startWorker(topics, { maxBatchRecords: 20 });
  for (let i = 0; i < RESTARTS; i++) {
    worker.lines.length = 0;
    expect(await committed(worker)).toBe(true); // else the stop would meet nobody at work
    await delay((i * 131) % 500);
    await broker.restart();
  }
  isOver = true;
  await feeding;
  const { sources, verdict } = await check(topics);
  await stopWorkers();
  expect(verdict).toEqual({ inputs: sources.length, doubled: [], lost: [], outOfOrder: [] });
});

it('a claim commits records once, though two batches hold them', async () => {
  const topics = await makeTopics('claimed');
  await feed(topics.input, 0, 60);
  const admin = kafka.admin();
  await admin.connect();
  const partitionsOf = new Map([[topics.output, PARTITIONS]]);
  const options = {
    group: topics.group,
    topic: topics.input,
    partition: 0,
    transactionTimeoutMs: 15_000,
    partitionsOf,
  };
  const claim = claimPartition(kafka, admin, options, () => true);
  await claim.settled;
  const results = [{ topic: topics.output, key: null, value: Buffer.from('once'), headers: { source: '0:0' } }];
  const twice = await Promise.all([
    claim.commit(results, { first: 0n, last: 4n }),
    claim.commit(results, { first: 0n, last: 4n }),
  ]);
  expect(twice).toEqual([true, false]);
  expect(claim.next).toBe(5n);
  expect(await claim.commit(results, { first: 3n, last: 7n })).toBe(false);
  expect(await claim.commit(results, { first: 5n, last: 7n })).toBe(true);
  await claim.retire();
  await admin.disconnect();
  const found = await readCommitted(broker.bootstrap, [topics.output], (all) => all.length >= 2, {
    timeoutMs: 30_000,
    quietMs: 1000,
  });
  expect(found.length).toBe(2);
});

describe('what a pipeline cannot do yet', () => {
  it('is said, and goes on by itself when a topic is made', async () => {
    const topics = { input: 'late.in', output: 'late.out', deadLetters: 'late.dead', group: 'late' };
    const worker = startWorker(topics);
    await expect
      .poll(() => worker.lines.join('\n'), { timeout: 20_000 })
      .toContain('no such Kafka topic: late.in, late.out, late.dead');
    await makeTopics('late');
    await feed('late.in', 0, 10);
    const { verdict } = await check(topics);
    await stopWorkers();
    expect(verdict).toEqual({ inputs: 10, doubled: [], lost: [], outOfOrder: [] });
  });
});
