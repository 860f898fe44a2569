/** Stream scoring inside `assay up`: the inference thread runs the pipelines that its settings name. */
import { join } from 'node:path';
import { createMonitoringClient, createRegistryClient } from '@assay/client';
import { STREAM_HEADERS } from '@assay/contracts';
import type { Standalone } from '@assay/standalone';
import type { Kafka } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { flights, treeModel } from '../../services/standalone/src/models-under-test.ts';
import { startSecureBroker } from '../parts/secure-broker.ts';
import { createStandalone } from '../parts/standalone.ts';
import { readCommitted } from './checker.ts';
import { connect, feed, makeTopics, pipelineOf, scoreByRest, temporaryFolder, writePipelines } from './streams.ts';

const resources = new AsyncDisposableStack();
const PIPELINE = pipelineOf('trees', 'trees');
let bootstrap: string;
let kafka: Kafka;
let standalone: Standalone;

beforeAll(async () => {
  const secure = resources.use(await startSecureBroker());
  bootstrap = secure.broker.bootstrap;
  kafka = await connect(bootstrap);
  await makeTopics(kafka, PIPELINE);
  const { path: dir } = resources.use(await temporaryFolder());
  const pipelinesFile = await writePipelines(dir, [PIPELINE]);
  // With a password, which has to reach the thread.
  const { name: username, password } = secure.user;
  const sasl = { mechanism: 'scram-sha-256', username, password: () => password } as const;
  const brokers = [secure.addresses.sasl];
  const kafkaSettings = { brokers, clientId: 'assay-inference', sasl };
  standalone = await createStandalone(join(dir, 'data'), { pipelinesFile }, { kafka: kafkaSettings });
  resources.defer(() => standalone.close());
  await standalone.start();
  await using registry = createRegistryClient({ url: standalone.services.registry });
  await registry.createModel({ name: 'trees' });
  const { version } = await registry.uploadPackage('trees', await treeModel(dir));
  await registry.moveAlias('trees', 'champion', { version, expectedRevision: 0 });
});
afterAll(() => resources.disposeAsync());

test('a pipeline of the standalone process gives each record one result, with the bits of REST', async () => {
  const records = flights(300);
  await feed(
    kafka,
    PIPELINE.input,
    records.map((record, i) => ({ key: `key-${i % 10}`, value: JSON.stringify(record), headers: { n: String(i) } })),
  );
  const topics = [PIPELINE.output, PIPELINE.deadLetters];
  const limits = { timeoutMs: 60_000, quietMs: 500 };
  const found = await readCommitted(bootstrap, topics, (all) => all.length >= records.length, limits);
  expect(found.filter(({ topic }) => topic === PIPELINE.deadLetters)).toEqual([]);
  expect(new Set(found.map(({ headers }) => headers[STREAM_HEADERS.source])).size).toBe(records.length);
  const byNumber = found.toSorted((a, b) => Number(a.headers.n) - Number(b.headers.n));
  const outputs = byNumber.map(({ value }): unknown => JSON.parse(String(value)).outputs);
  expect(outputs).toEqual(await scoreByRest(standalone.services.inference, 'trees', records, 20));
});

test('what it predicted is in the log, which is no Kafka here, and replays with the same bits', async () => {
  const limits = { timeoutMs: 60_000, quietMs: 500 };
  const found = await readCommitted(bootstrap, [PIPELINE.output], (all) => all.length > 0, limits);
  const id = found[0]?.headers[STREAM_HEADERS.predictionId] ?? '';
  await using monitoring = createMonitoringClient({ url: standalone.services.monitoring });
  await expect
    .poll(() => monitoring.getPrediction(id).then(({ door }) => door, String), { timeout: 30_000 })
    .toBe('kafka');
  expect(await monitoring.replay(id)).toMatchObject({ same: true, differences: [] });
});

test('pipelines without a Kafka are refused at the start, in words', async () => {
  await using folder = await temporaryFolder();
  const pipelinesFile = await writePipelines(folder.path, [PIPELINE]);
  const refused = await createStandalone(join(folder.path, 'data'), { pipelinesFile });
  await expect(refused.start()).rejects.toThrow(/names pipelines, and no Kafka: set ASSAY_KAFKA_BROKERS/);
  await refused.close();
});
