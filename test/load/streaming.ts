/**
 * Stream scoring beside loops that only consume and produce, with the same guarantee, and REST with and without a backlog
 * behind it, in one run: `node test/load/streaming.ts [--short]`.
 */
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createRegistryClient } from '@assay/client';
import autocannon from 'autocannon';
import type { Kafka } from 'kafkajs';
import { connect, feed, makeTopics, pipelineOf, writePipelines } from '../kafka/streams.ts';
import { startAssay, temporaryFolder } from '../parts/assay.ts';
import { type Broker, startBroker } from '../parts/broker.ts';
import { median } from './generator.ts';
import { cpuMicroseconds, type Server, startServer } from './processes.ts';
import { FLIGHT } from './scoring.ts';

const IS_SHORT = process.argv.includes('--short');
/** A stream thread compiles for itself: of a short backlog much goes by while it does. */
const BACKLOG = Number(process.env.BENCH_BACKLOG ?? (IS_SHORT ? 60_000 : 400_000));
/** Fed before REST is measured; what is left at the end is told, and none is an error. */
const REST_BACKLOG = Number(process.env.BENCH_REST_BACKLOG ?? (IS_SHORT ? 400_000 : 1_500_000));
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
/** What scoring must keep of the records/s of the loops that only copy. */
const SHARE_GOAL = 0.75;
const RATE_PER_SECOND = 1000;
const LATENCY_SECONDS = IS_SHORT ? 10 : 20;
const MAX_BATCH_RECORDS = 500;
/** Of REST: each round has one without the backlog and one with it. */
const REST_ROUNDS = 5;
const REST_WINDOW_MS = IS_SHORT ? 400 : 1600;
const REST_PER_SECOND = 300;
/** Each part is fed at once; the next one when it is there. */
const FEED_RECORDS = 50_000;
const SCORER = fileURLToPath(new URL('../kafka/scoring-worker.ts', import.meta.url));
const BARE = fileURLToPath(new URL('./bare-stream.ts', import.meta.url));

interface Contestant {
  readonly name: string;
  start(topics: Topics): Promise<Server>;
}
type Topics = ReturnType<typeof pipelineOf> & { readonly group: string };

const airports = ['ATL', 'ORD', 'DFW', 'LAX', 'BOS', 'SEA', 'XXX'];
const recordOf = (i: number) => ({
  key: `key-${i % 1000}`,
  value: JSON.stringify({ ...FLIGHT, hour: i % 24, distance: 100 + (i % 2500), origin: airports[i % 7] ?? 'ATL' }),
});

console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}`);
await using folder = await temporaryFolder();
const model = await flightsModel(folder.path);
await using broker = await startBroker();
const kafka = await connect(broker.bootstrap);
const scorer = assay(broker, model, folder.path, 'assay');
const bareLoops = [
  bare(broker, 'bare loop, kafkajs as it comes', true),
  bare(broker, "bare loop, Assay's client", false),
] as const;
const contestants = [...bareLoops, scorer] as const;
await benchThroughput(kafka, [...contestants, assay(broker, model, folder.path, 'assay, two stream threads', 2)]);
await benchLatency(kafka);
await benchRest(kafka);

/** The model of the example, as the registry keeps it. */
async function flightsModel(dir: string): Promise<string> {
  await using started = await startAssay();
  const registry = createRegistryClient({ url: started.run.services.registry.http });
  const path = join(dir, 'flight-delay');
  await registry.downloadPackage(await registry.getVersion('flight-delay', 1), path);
  await registry.close();
  return path;
}

function bare({ bootstrap }: Broker, name: string, asItComes: boolean): Contestant {
  return {
    name,
    start: ({ input, output, group }) => {
      const kafka = { brokers: [bootstrap], clientId: 'bare' };
      const options = { asItComes, kafka, input, output, group, maxBatchRecords: MAX_BATCH_RECORDS };
      return startServer(process.execPath, [BARE, JSON.stringify(options)]);
    },
  };
}

/** With as many stream threads as the service takes by itself, or so many. */
function assay({ bootstrap }: Broker, path: string, dir: string, name: string, streamThreads?: number): Contestant {
  return {
    name,
    async start(topics) {
      const options = {
        models: [{ name: 'flight-delay', path }],
        pipelines: await writePipelines(join(dir, topics.name), [topics]),
        brokers: [bootstrap],
        dir: join(dir, topics.name),
        quiet: true,
        ...(streamThreads === undefined ? {} : { streamThreads }),
      };
      return startServer(process.execPath, [SCORER, JSON.stringify(options)]);
    },
  };
}

async function topicsOf(name: string): Promise<Topics> {
  const topics = {
    ...pipelineOf(name, 'flight-delay', { maxBatchRecords: MAX_BATCH_RECORDS }),
    group: `group-${name}`,
  };
  await makeTopics(kafka, topics);
  return topics;
}

async function feedBacklog({ input }: Topics, count: number): Promise<void> {
  for (let from = 0; from < count; from += FEED_RECORDS) {
    const records = Array.from({ length: Math.min(FEED_RECORDS, count - from) }, (_, i) => recordOf(from + i));
    await feed(kafka, input, records);
  }
}

interface Drained {
  readonly perSecond: number;
  /** Of the process: user and system, all threads. */
  readonly cpuMicroseconds: number;
}

/** From the first fifth of the backlog, which compiles, to its end. */
async function drain(client: Kafka, { group, input }: Topics, count: number, pid: number): Promise<Drained> {
  const admin = client.admin();
  await admin.connect();
  let began: { at: number; done: number; cpu: number } | undefined;
  for (;;) {
    // A group that was made just now may be on its way to its coordinator.
    const [found] = await admin.fetchOffsets({ groupId: group, topics: [input] }).catch(() => []);
    const done = found?.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0) ?? 0;
    const at = performance.now();
    const cpu = cpuMicroseconds(pid);
    if (began === undefined && done >= count / 5) began = { at, done, cpu };
    if (began !== undefined && done >= count) {
      await admin.disconnect();
      const records = done - began.done;
      return { perSecond: (records * 1000) / (at - began.at), cpuMicroseconds: (cpu - began.cpu) / records };
    }
    await delay(20);
  }
}

async function benchThroughput(client: Kafka, all: readonly Contestant[]): Promise<void> {
  console.log(`\nA backlog of ${BACKLOG} records, at most ${MAX_BATCH_RECORDS} in a transaction, one process`);
  const drained = new Map(all.map((contestant) => [contestant, [] as Drained[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, contestant] of all.entries()) {
      const topics = await topicsOf(`backlog-${i}-${round}`);
      await feedBacklog(topics, BACKLOG);
      await using server = await contestant.start(topics);
      drained.get(contestant)?.push(await drain(client, topics, BACKLOG, server.pid));
    }
  }
  const roundsOf = (contestant: Contestant) => drained.get(contestant) ?? [];
  for (const contestant of all) {
    const rounds = roundsOf(contestant);
    const [perSecond, cpu] = [median(rounds.map((each) => each.perSecond)), median(rounds.map(cpuOf))];
    console.log(
      `${contestant.name.padEnd(31)} ${perSecond.toFixed(0).padStart(7)} records/s ${cpu.toFixed(1).padStart(6)} µs CPU a record`,
    );
  }
  for (const loop of bareLoops) {
    const share = median(
      roundsOf(scorer).map((each, round) => each.perSecond / (roundsOf(loop)[round]?.perSecond ?? Number.NaN)),
    );
    const verdict = share >= SHARE_GOAL ? 'enough' : 'TOO LITTLE';
    console.log(`assay has ${share.toFixed(2)} of the records/s of: ${loop.name} (goal ${SHARE_GOAL}: ${verdict})`);
  }
}

function cpuOf(drained: Drained): number {
  return drained.cpuMicroseconds;
}

async function benchLatency(client: Kafka): Promise<void> {
  console.log(`\nEnd to end at ${RATE_PER_SECOND} records/s: from send() to a read_committed reader`);
  for (const [i, contestant] of contestants.entries()) {
    const topics = await topicsOf(`latency-${i}`);
    await feedBacklog(topics, 2000);
    await using server = await contestant.start(topics);
    await drain(client, topics, 2000, server.pid);
    const before = cpuMicroseconds(server.pid);
    const latencies = await endToEnd(client, topics, LATENCY_SECONDS);
    const cpu = (cpuMicroseconds(server.pid) - before) / (LATENCY_SECONDS * RATE_PER_SECOND);
    console.log(
      `${contestant.name.padEnd(31)} ${quantiles(latencies)}   ${cpu.toFixed(0)} µs CPU a record   (${latencies.length} records)`,
    );
  }
}

/** Milliseconds of each record that was sent after the first three seconds. */
async function endToEnd(client: Kafka, topics: Topics, seconds: number): Promise<number[]> {
  const latencies: number[] = [];
  const consumer = client.consumer({ groupId: `reader-${topics.name}`, readUncommitted: false, maxWaitTimeInMs: 100 });
  const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
  await consumer.connect();
  await consumer.subscribe({ topics: [topics.output], fromBeginning: false });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      const now = performance.now();
      for (const { headers } of batch.messages) {
        const sentAt = Number(headers?.sent?.toString());
        if (Number.isFinite(sentAt)) latencies.push(now - sentAt);
      }
    },
  });
  await joined;
  const producer = client.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const began = performance.now();
  const step = RATE_PER_SECOND / 100;
  const sends: Promise<unknown>[] = [];
  for (let tick = 0; tick < seconds * 100; tick++) {
    await delay(Math.max(0, began + tick * 10 - performance.now()));
    const counts = tick > 300;
    const messages = Array.from({ length: step }, (_, i) => ({
      ...recordOf(tick * step + i),
      ...(counts ? { headers: { sent: String(performance.now()) } } : {}),
    }));
    sends.push(producer.send({ topic: topics.input, acks: -1, messages }));
  }
  await Promise.all(sends);
  const expected = (seconds * 100 - 301) * step;
  for (let waits = 0; latencies.length < expected && waits < 200; waits++) await delay(50);
  await consumer.disconnect();
  await producer.disconnect();
  return latencies;
}

function quantiles(values: readonly number[]): string {
  const at = (share: number) => `${quantile(values, share).toFixed(1).padStart(6)} ms`;
  return `p50 ${at(0.5)}   p99 ${at(0.99)}   p99.9 ${at(0.999)}`;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
}

/**
 * Two processes of the same service, whose pipelines have a backlog and none. One of them is asked at a time, and the other
 * one frozen, for less than its session, so that both meet the same machine.
 */
async function benchRest(client: Kafka): Promise<void> {
  const [idleTopics, busyTopics] = [await topicsOf('rest-idle'), await topicsOf('rest-busy')];
  await feedBacklog(idleTopics, 5000);
  await feedBacklog(busyTopics, REST_BACKLOG);
  await using idle = await scorer.start(idleTopics);
  await drain(client, idleTopics, 5000, idle.pid);
  await restWindow(idle, 2000); // compiles
  process.kill(idle.pid, 'SIGSTOP');
  await using busy = await scorer.start(busyTopics);
  await restWindow(busy, Math.min(2000, 2 * REST_WINDOW_MS));
  const [alone, beside]: [number[], number[]] = [[], []];
  for (let round = 0; round < REST_ROUNDS; round++) {
    process.kill(busy.pid, 'SIGSTOP');
    process.kill(idle.pid, 'SIGCONT');
    alone.push(...(await restWindow(idle, REST_WINDOW_MS)));
    process.kill(idle.pid, 'SIGSTOP');
    process.kill(busy.pid, 'SIGCONT');
    beside.push(...(await restWindow(busy, REST_WINDOW_MS)));
  }
  const left = await lagOf(busy);
  process.kill(idle.pid, 'SIGCONT');
  console.log(
    `\nREST at ${REST_PER_SECOND} requests/s, without and with a backlog of ${REST_BACKLOG} records, in turns`,
  );
  console.log(`without ${quantiles(alone)}   (${alone.length} requests)`);
  console.log(`with    ${quantiles(beside)}   (${beside.length} requests; ${left} records were left)`);
  for (const share of [0.5, 0.99]) {
    console.log(`ratio of p${100 * share}: ${(quantile(beside, share) / quantile(alone, share)).toFixed(2)}`);
  }
  if (left === 0) throw new Error('the backlog ended before the measurement did: it measured nothing');
}

async function lagOf({ url }: Server): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const lags = metrics.matchAll(/assay_stream_lag_records\{[^}]*\} (\d+)/g);
  return lags.reduce((sum, [, value]) => sum + Number(value), 0);
}

/** Milliseconds of each request that was answered. */
async function restWindow({ url }: Server, forMs: number): Promise<number[]> {
  const latencies: number[] = [];
  await fetch(`${url}/livez`); // thawed by now
  await new Promise<void>((resolve, reject) => {
    const load = autocannon(
      {
        url: `${url}/v1/endpoints/flight-delay/score`,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ records: [FLIGHT] }),
        connections: 8,
        overallRate: REST_PER_SECOND,
        amount: (REST_PER_SECOND * forMs) / 1000, // a duration is in whole seconds
      },
      (error, result) => {
        if (error !== null) reject(error);
        else if (result.non2xx + result.errors > 0) reject(new Error(`${result.non2xx} answers were not 2xx`));
        else resolve();
      },
    );
    load.on('response', (_client, _status, _bytes, tookMs) => latencies.push(tookMs));
  });
  return latencies;
}
