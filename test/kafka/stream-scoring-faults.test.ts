/** Exactly once with the real scoring processes, whatever is killed, frozen or away. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { PredictionsLogged, parse, TOPICS } from '@assay/contracts';
import { createStaticModels } from '@assay/inference';
import type { Kafka } from 'kafkajs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { flightRecords, type MadeModel, treeModel } from '../../services/inference/src/models-under-test.ts';
import { type Broker, startBroker } from '../parts/broker.ts';
import { type Found, judge, readCommitted } from './checker.ts';
import { KILL_POINTS, type KillPoint } from './kill-points.ts';
import {
  connect,
  feed,
  makeTopics,
  pipelineOf,
  scoreByRest,
  sourcesOf,
  startInference,
  temporaryFolder,
  writePipelines,
} from './streams.ts';

/** `make soak` runs the long form. */
const RECORDS = Number(process.env.SOAK_RECORDS ?? 10_000);
const KILLS = Number(process.env.SOAK_KILLS ?? KILL_POINTS.length);
const FREEZES = Number(process.env.SOAK_FREEZES ?? 1);
/** They are sent again and again. */
const FLIGHTS = 2000;
const SESSION_MS = 6000;
const WORKER = fileURLToPath(new URL('./scoring-worker.ts', import.meta.url));
/** Each hundredth record or so is none that can be scored. */
const BAD_EVERY = 97;

const resources = new AsyncDisposableStack();
let broker: Broker;
let kafka: Kafka;
let dir: string;
let trees: MadeModel;

beforeAll(async () => {
  dir = resources.use(await temporaryFolder()).path;
  trees = await treeModel(dir);
  broker = resources.use(await startBroker());
  kafka = await connect(broker.bootstrap);
});
afterEach(stopWorkers);
afterAll(async () => {
  await resources.disposeAsync();
});

interface Worker {
  readonly process: ChildProcess;
  readonly lines: string[];
  readonly closed: Promise<unknown>;
}

const workers = new Set<Worker>();
let started = 0;

function startWorker(pipelines: string, killAt?: { point: KillPoint; transaction: number }): Worker {
  const argument = JSON.stringify({
    models: [{ name: 'trees', path: trees.dir }],
    pipelines,
    brokers: [broker.bootstrap],
    dir: join(dir, `worker-${++started}`),
    logs: true,
    killAt,
  });
  const child = spawn(process.execPath, [WORKER, argument], { stdio: ['ignore', 'pipe', 'inherit'] });
  const worker: Worker = { process: child, lines: [], closed: once(child, 'close') };
  child.stdout.setEncoding('utf8').on('data', (text: string) => worker.lines.push(...text.trim().split('\n')));
  workers.add(worker);
  child.on('close', () => workers.delete(worker));
  return worker;
}

async function stopWorkers(): Promise<void> {
  await Promise.all(
    [...workers].map(async ({ process: child, closed }) => {
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      await closed;
    }),
  );
}

/** A line of the worker that has `text`. */
async function line(worker: Worker, text: string): Promise<string> {
  let found: string | undefined;
  await expect
    .poll(
      () => {
        found = worker.lines.find((each) => each.includes(text));
        return found !== undefined;
      },
      { timeout: 60_000, message: `a worker says ${text}` },
    )
    .toBe(true);
  return found ?? '';
}

/** Feeds while there are faults to come, about RECORDS at least. A tenth of the keys takes most of them. */
async function feedUntil(topic: string, flights: readonly object[], enough: AbortSignal): Promise<void> {
  let count = 0;
  while (!enough.aborted || count < RECORDS) {
    const records = Array.from({ length: 100 }, () => {
      const n = count++;
      return {
        key: `key-${Math.floor(40 * (((n * 7919) % 1000) / 1000) ** 3)}`,
        value: n % BAD_EVERY === 0 ? '{"hour":"late"}' : JSON.stringify(flights[n % FLIGHTS]),
        headers: { n: String(n) },
      };
    });
    // While the broker restarts a send may fail, with or without its records written: the topic says what there is.
    await feed(kafka, topic, records).catch(() => undefined);
    await delay(enough.aborted ? 0 : 250, undefined, { signal: enough }).catch(() => undefined);
  }
}

/** Of the predictions of streams in these events; those that were asked by REST are there too. */
function loggedIds(events: readonly Found[]): string[] {
  return events.flatMap(({ value }) => {
    const { predictions } = parse(PredictionsLogged, JSON.parse(String(value)).data, 'data');
    return predictions.filter(({ door }) => door === 'kafka').map(({ id }) => id);
  });
}

describe('stream scoring', () => {
  it(`gives one outcome for each record, in order, with the outputs of REST: ${KILLS} kills at chosen points, a freeze, a broker restart`, async () => {
    const pipeline = pipelineOf('faults', 'trees', { maxBatchRecords: 100, sessionTimeoutMs: SESSION_MS });
    await makeTopics(kafka, pipeline);
    const pipelines = await writePipelines(dir, [pipeline]);
    const flights = flightRecords(FLIGHTS);
    const steady = startWorker(pipelines);
    const { url } = JSON.parse(await line(steady, '"url"'));
    const faults = new AbortController();
    const feeding = feedUntil(pipeline.input, flights, faults.signal);
    for (let i = 0; i < KILLS; i++) {
      const point = KILL_POINTS[i % KILL_POINTS.length] ?? 'begun';
      const victim = startWorker(pipelines, { point, transaction: 2 + (i % 3) });
      await expect.poll(() => victim.process.signalCode, { timeout: 60_000, message: point }).toBe('SIGKILL');
      if (i === Math.floor(KILLS / 2)) await broker.restart();
    }
    for (let i = 0; i < FREEZES; i++) {
      const sleeper = startWorker(pipelines);
      await line(sleeper, '"committed"');
      sleeper.process.kill('SIGSTOP');
      await delay(SESSION_MS + 3000);
      sleeper.process.kill('SIGCONT');
    }
    faults.abort();
    await feeding;
    const sources = await sourcesOf(kafka, pipeline.input);
    const found = await readCommitted(
      broker.bootstrap,
      [pipeline.output, pipeline.deadLetters],
      (all) => all.length >= sources.length,
      { timeoutMs: 120_000, quietMs: 3000 },
    );
    const expected = await scoreByRest(url, 'trees', flights, 64);
    expect(sources.length).toBeGreaterThan(RECORDS / 2);
    const judged = found.map((each) => ({
      ...each,
      headers: { ...each.headers, source: each.headers['assay-source']?.split(':').slice(1).join(':') ?? '' },
    }));
    expect(
      judge(
        sources.map((source) => source.split(':').slice(1).join(':')),
        judged,
      ),
    ).toEqual({
      inputs: sources.length,
      doubled: [],
      lost: [],
      outOfOrder: [],
    });
    const misplaced = found.filter(({ topic, headers }) => {
      const isBad = Number(headers.n) % BAD_EVERY === 0;
      return topic !== (isBad ? pipeline.deadLetters : pipeline.output);
    });
    expect(misplaced).toEqual([]);
    const results = found.filter(({ topic }) => topic === pipeline.output);
    expect(new Set(results.map(({ headers }) => headers['assay-prediction-id'])).size).toBe(results.length);
    const different = results.filter(({ value, headers }) => {
      const { outputs } = JSON.parse(String(value));
      return !isDeepStrictEqual(outputs, expected[Number(headers.n) % FLIGHTS]);
    });
    expect(different).toEqual([]);
    const events = await readCommitted(
      broker.bootstrap,
      [TOPICS.predictions],
      (all) => loggedIds(all).length >= results.length,
      { timeoutMs: 60_000, quietMs: 1000 },
    );
    expect(loggedIds(events).toSorted()).toEqual(
      results.map(({ headers }) => headers['assay-prediction-id']).toSorted(),
    );
  }, 900_000);

  it('waits for a broker that is away at the start and says so, and resumes after one that went in the middle', async () => {
    const pipeline = pipelineOf('away', 'trees', { sessionTimeoutMs: SESSION_MS });
    await makeTopics(kafka, pipeline);
    const models = await createStaticModels([{ name: 'trees', path: trees.dir }], { workDir: `${dir}/made` });
    const flight = JSON.stringify(flightRecords(1)[0]);
    const records = (count: number) => Array.from({ length: count }, (_, i) => ({ key: `${i}`, value: flight }));
    await feed(kafka, pipeline.input, records(50));
    await broker.kill();
    await using inference = await startInference(join(dir, 'away'), broker.bootstrap, models, [pipeline]);
    await expect
      .poll(async () => inference.ready(), { timeout: 30_000 })
      .toMatchObject({ status: 503, text: expect.stringContaining(`Kafka at ${broker.bootstrap}`) });
    await inference.score('trees', flightRecords(1), 1); // REST does not need the broker
    await broker.start();
    await expect.poll(async () => (await inference.ready()).status, { timeout: 60_000 }).toBe(200);
    const count = (enough: number) =>
      readCommitted(broker.bootstrap, [pipeline.output, pipeline.deadLetters], (all) => all.length >= enough, {
        timeoutMs: 90_000,
        quietMs: 1000,
      });
    expect((await count(50)).length).toBe(50);
    await broker.kill();
    await expect
      .poll(async () => inference.ready(), { timeout: 60_000 })
      .toMatchObject({ status: 200, text: expect.stringContaining('pipeline \\"away\\" waits: Kafka at') });
    await broker.start();
    await feed(kafka, pipeline.input, records(50));
    const found = await count(100);
    expect(new Set(found.map(({ headers }) => headers['assay-source'])).size).toBe(100);
    expect(found.length).toBe(100);
  });

  it('says which topics are missing, and goes on by itself when they are made', async () => {
    const pipeline = pipelineOf('absent', 'trees');
    const models = await createStaticModels([{ name: 'trees', path: trees.dir }], { workDir: `${dir}/made` });
    await using inference = await startInference(join(dir, 'absent'), broker.bootstrap, models, [pipeline]);
    await expect
      .poll(async () => inference.ready(), { timeout: 30_000 })
      .toMatchObject({
        status: 503,
        text: expect.stringContaining('no such Kafka topic: absent.in, absent.out, absent.dead'),
      });
    await makeTopics(kafka, pipeline);
    await expect.poll(async () => (await inference.ready()).status, { timeout: 60_000 }).toBe(200);
  });
});
