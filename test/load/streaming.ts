/**
 * Stream scoring beside a loop that only consumes and produces, with the same client and guarantee, in one run:
 * `node test/load/streaming.ts`. Then REST with and without a backlog behind it.
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
import { type Server, startServer } from './processes.ts';
import { FLIGHT } from './scoring.ts';

const BACKLOG = Number(process.env.BENCH_RECORDS ?? 60_000);
const REST_BACKLOG = Number(process.env.BENCH_REST_RECORDS ?? 200_000);
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const RATE_PER_SECOND = 1000;
const MAX_BATCH_RECORDS = 500;
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
const contestants = [bare(broker), assay(broker, model, folder.path)] as const;
await benchThroughput(kafka);
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

function bare({ bootstrap }: Broker): Contestant {
  return {
    name: 'bare loop',
    start: ({ input, output, group }) =>
      startServer(process.execPath, [
        BARE,
        JSON.stringify({
          kafka: { brokers: [bootstrap], clientId: 'bare' },
          input,
          output,
          group,
          maxBatchRecords: MAX_BATCH_RECORDS,
        }),
      ]),
  };
}

function assay({ bootstrap }: Broker, path: string, dir: string): Contestant {
  return {
    name: 'assay',
    async start(topics) {
      const options = {
        models: [{ name: 'flight-delay', path }],
        pipelines: await writePipelines(join(dir, topics.name), [topics]),
        brokers: [bootstrap],
        dir: join(dir, topics.name),
        quiet: true,
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
  const records = Array.from({ length: count }, (_, i) => recordOf(i));
  await feed(kafka, input, records);
}

/** Records a second from the first tenth of the backlog, which compiles, to its end. */
async function drainRate(client: Kafka, { group, input }: Topics, count: number): Promise<number> {
  const admin = client.admin();
  await admin.connect();
  let began: { at: number; done: number } | undefined;
  for (;;) {
    const [found] = await admin.fetchOffsets({ groupId: group, topics: [input] });
    const done = found?.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0) ?? 0;
    const at = performance.now();
    if (began === undefined && done >= count / 10) began = { at, done };
    if (began !== undefined && done >= count) {
      await admin.disconnect();
      return ((done - began.done) * 1000) / (at - began.at);
    }
    await delay(20);
  }
}

async function benchThroughput(client: Kafka): Promise<void> {
  console.log(`\nA backlog of ${BACKLOG} records, at most ${MAX_BATCH_RECORDS} in a transaction, one process`);
  const rates = contestants.map(() => [] as number[]);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, contestant] of contestants.entries()) {
      const topics = await topicsOf(`backlog-${i}-${round}`);
      await feedBacklog(topics, BACKLOG);
      await using _ = await contestant.start(topics);
      rates[i]?.push(await drainRate(client, topics, BACKLOG));
    }
  }
  for (const [i, { name }] of contestants.entries()) {
    console.log(
      `${name.padEnd(10)} ${median(rates[i] ?? [])
        .toFixed(0)
        .padStart(8)} records/s`,
    );
  }
  const ratio = median((rates[1] ?? []).map((rate, i) => rate / (rates[0]?.[i] ?? Number.NaN)));
  console.log(`ratio      ${ratio.toFixed(2).padStart(8)}`);
}

async function benchLatency(client: Kafka): Promise<void> {
  console.log(`\nEnd to end at ${RATE_PER_SECOND} records/s: from send() to a read_committed reader`);
  for (const [i, contestant] of contestants.entries()) {
    const topics = await topicsOf(`latency-${i}`);
    await feedBacklog(topics, 2000);
    await using _ = await contestant.start(topics);
    await drainRate(client, topics, 2000);
    const latencies = (await endToEnd(client, topics, 15)).toSorted((a, b) => a - b);
    const at = (share: number) => latencies[Math.floor(share * (latencies.length - 1))]?.toFixed(1).padStart(7);
    console.log(`${contestant.name.padEnd(10)} p50 ${at(0.5)} ms   p99 ${at(0.99)} ms   (${latencies.length} records)`);
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

async function benchRest(client: Kafka): Promise<void> {
  console.log(
    `\nREST at 200 requests/s over 8 connections, alone and with a backlog of ${REST_BACKLOG} records behind it`,
  );
  const before = await restBeside(client, 5000, 5000);
  const during = await restBeside(client, REST_BACKLOG, 5000);
  if (during.left === 0) console.log('the backlog ended before the measurement did: BENCH_REST_RECORDS is too small');
  console.log(`alone      p50 ${before.p50} ms   p99 ${before.p99} ms   p99.9 ${before.p99_9} ms`);
  console.log(
    `backlog    p50 ${during.p50} ms   p99 ${during.p99} ms   p99.9 ${during.p99_9} ms   (${during.left} records left)`,
  );
}

/** REST once `scored` of a backlog of `count` records are done. */
async function restBeside(client: Kafka, count: number, scored: number) {
  const topics = await topicsOf(`rest-${count}`);
  await feedBacklog(topics, count);
  await using server = await contestants[1].start(topics);
  await drainRate(client, topics, scored);
  const { p50, p99, p99_9 } = await rest(server.url, 8);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  const lags = metrics.matchAll(/assay_stream_lag_records\{[^}]*\} (\d+)/g);
  return { p50, p99, p99_9, left: [...lags].reduce((sum, [, value]) => sum + Number(value), 0) };
}

async function rest(url: string, seconds: number) {
  const result = await autocannon({
    url: `${url}/v1/endpoints/flight-delay/score`,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ records: [FLIGHT] }),
    connections: 8,
    overallRate: 200,
    duration: seconds,
  });
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} answers were not 2xx`);
  return result.latency;
}
