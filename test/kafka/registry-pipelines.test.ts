/** Pipelines that the registry keeps: they begin, change and end while the service runs. */
import { join } from 'node:path';
import { createRegistryClient, type RegistryClient } from '@assay/client';
import { type Pipeline, STREAM_HEADERS } from '@assay/contracts';
import type { Standalone } from '@assay/standalone';
import type { Kafka } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { flights, treeModel } from '../../services/standalone/src/models-under-test.ts';
import { startBroker } from '../parts/broker.ts';
import { createStandalone } from '../parts/standalone.ts';
import { readCommitted } from './checker.ts';
import { connect, feed, makeTopics, pipelineOf, sourcesOf, temporaryFolder } from './streams.ts';

const resources = new AsyncDisposableStack();
const MOVES = pipelineOf('moves', 'trees');
const OTHER = pipelineOf('other', 'trees');
const ELSEWHERE = { ...MOVES, output: 'elsewhere.out', deadLetters: 'elsewhere.dead' };
const LIMITS = { timeoutMs: 60_000, quietMs: 500 };
let bootstrap: string;
let kafka: Kafka;
let standalone: Standalone;
let registry: RegistryClient;

function create(dir: string, inference: { readonly pipelinesFile?: string } = {}): Promise<Standalone> {
  const settings = { registryPipelines: true, streamThreads: 2, ...inference };
  return createStandalone(join(dir, 'data'), settings, {
    kafka: { brokers: [bootstrap], clientId: 'assay-inference' },
  });
}

beforeAll(async () => {
  bootstrap = resources.use(await startBroker()).bootstrap;
  kafka = await connect(bootstrap);
  await makeTopics(kafka, MOVES, OTHER, { ...ELSEWHERE, input: 'elsewhere.in' });
  const { path: dir } = resources.use(await temporaryFolder());
  standalone = await create(dir);
  resources.defer(() => standalone.close());
  await standalone.start();
  registry = resources.use(createRegistryClient({ url: standalone.services.registry }));
  await registry.createModel({ name: 'trees' });
  const { version } = await registry.uploadPackage('trees', await treeModel(dir));
  await registry.moveAlias('trees', 'champion', { version, expectedRevision: 0 });
});
afterAll(() => resources.disposeAsync());

async function put({ name, ...spec }: Pipeline, expectedRevision: number): Promise<number> {
  return (await registry.putPipeline(name, { ...spec, expectedRevision })).revision;
}

let fed = 0;
async function feedBoth(count: number): Promise<void> {
  const records = flights(count).map((record) => ({ key: `key-${fed++ % 20}`, value: JSON.stringify(record) }));
  await Promise.all([feed(kafka, MOVES.input, records), feed(kafka, OTHER.input, records)]);
}

/** The inputs that have a result or a dead letter in these topics, each as often as it has one. */
async function answered(topics: readonly string[], count: number): Promise<string[]> {
  const found = await readCommitted(bootstrap, topics, (all) => all.length >= count, LIMITS);
  return found.map(({ headers }) => headers[STREAM_HEADERS.source] ?? '').sort();
}

const ofMoves = [MOVES.output, MOVES.deadLetters, ELSEWHERE.output, ELSEWHERE.deadLetters];

async function runningPipelines(): Promise<string[]> {
  const metrics = await (await fetch(`${standalone.services.inference}/metrics`)).text();
  const running = /^assay_stream_state\{.*pipeline="([^"]+)".*state="running".*\} [1-9]/gm;
  return [...metrics.matchAll(running)].map(([, name]) => name ?? '').sort();
}

test('a pipeline that is added runs; one that changes goes on where it was, and the other notices nothing', async () => {
  await feedBoth(200);
  const revision = await put(MOVES, 0);
  await put(OTHER, 0);
  expect(await answered(ofMoves, 200)).toEqual((await sourcesOf(kafka, MOVES.input)).sort());

  const feeding = feedBoth(2000);
  await put(ELSEWHERE, revision);
  await feeding;
  await feedBoth(200);
  expect(await answered(ofMoves, 2400)).toEqual((await sourcesOf(kafka, MOVES.input)).sort());
  expect((await answered([ELSEWHERE.output], 200)).length).toBeGreaterThanOrEqual(200);
  expect(await answered([OTHER.output, OTHER.deadLetters], 2400)).toEqual((await sourcesOf(kafka, OTHER.input)).sort());
});

test('a pipeline that is deleted leaves its records where they are, and made again goes on behind its last one', async () => {
  expect(await runningPipelines()).toEqual(['moves', 'other']);
  const { revision } = await registry.getPipeline('moves');
  await registry.deletePipeline('moves', revision);
  await expect.poll(runningPipelines, { timeout: 30_000 }).toEqual(['other']);
  const before = await answered(ofMoves, 0);
  await feedBoth(100);
  await answered([OTHER.output], before.length + 100);
  expect(await answered(ofMoves, before.length)).toEqual(before);
  expect(await (await fetch(`${standalone.services.inference}/readyz`)).json()).toMatchObject({ ready: true });

  await put(MOVES, 0);
  expect(await answered(ofMoves, before.length + 100)).toEqual((await sourcesOf(kafka, MOVES.input)).sort());
});

test('a file and the registry at once are refused, in words', async () => {
  await using folder = await temporaryFolder();
  const refused = await create(folder.path, { pipelinesFile: 'pipelines.yaml' });
  await expect(refused.start()).rejects.toThrow(/pipelinesFile and registryPipelines are both set/);
  await refused.close();
});
