/**
 * Registry, inference and monitoring as processes of their own, with keys, on a broker that asks for a password: what
 * streams and requests predict is logged over Kafka, found and replayed. Then every record of every topic, and all that the
 * processes wrote, is searched for the secrets.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  createMonitoringClient,
  createRegistryClient,
  createScoringClient,
  decodeJson,
  type MonitoringClient,
} from '@assay/client';
import { TOPICS } from '@assay/contracts';
import { ensureBootstrapFiles } from '@assay/registry';
import { entryUrl } from '@assay/runtime';
import type { Kafka } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  flightRecords,
  identityModel,
  linearModel,
  treeModel,
} from '../../services/inference/src/models-under-test.ts';
import { type SecureBroker, startSecureBroker } from '../parts/secure-broker.ts';
import { type Found, readCommitted } from './checker.ts';
import { connect, feed, makeTopics, pipelineOf, temporaryFolder, writePipelines } from './streams.ts';

const resources = new AsyncDisposableStack();
const MODELS = ['trees', 'exact', 'quiet'] as const;
const PIPELINES = MODELS.map((name) => pipelineOf(name, name));
const WAIT_MS = 60_000;
/** Of the kind of text that must be found where it is: what is searched for everywhere else is searched for alike. */
const CANARY = 'canary-4711';

let secure: SecureBroker;
let kafka: Kafka;
let keysDir: string;
let monitoring: MonitoringClient;
let inferenceUrl: string;
const outputs: (() => string)[] = [];

const keyOf = (name: string) => readFile(join(keysDir, name), 'utf8').then((text) => text.trim());

/** A service's own entry, as it is deployed; gives the URL that it says. */
async function start(service: string, env: Record<string, string>): Promise<string> {
  const child: ChildProcess = spawn(process.execPath, [fileURLToPath(entryUrl(`services/${service}`, service))], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      ASSAY_LOG_LEVEL: 'trace',
      ASSAY_KAFKA_BROKERS: secure.addresses.sasl,
      ASSAY_KAFKA_SASL_MECHANISM: 'scram-sha-256',
      ASSAY_KAFKA_SASL_USERNAME: secure.user.name,
      ASSAY_KAFKA_SASL_PASSWORD: secure.user.password,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (part) => (text += part));
  outputs.push(() => text);
  const closed = once(child, 'close');
  resources.defer(async () => {
    child.kill('SIGTERM');
    await closed;
  });
  const said = new RegExp(`${service} listens on (\\S+)`);
  await vi.waitUntil(() => said.test(text) || child.exitCode !== null, { timeout: WAIT_MS, interval: 50 });
  const url = said.exec(text)?.[1];
  if (url === undefined) throw new Error(`the ${service} ended: ${text}`);
  return url;
}

beforeAll(async () => {
  const { path: dir } = resources.use(await temporaryFolder());
  secure = resources.use(await startSecureBroker());
  kafka = await connect(secure.broker.bootstrap);
  await makeTopics(kafka, ...PIPELINES);
  keysDir = join(dir, 'keys');
  await ensureBootstrapFiles(keysDir);
  const registryUrl = await start('registry', {
    ASSAY_DATA_DIR: join(dir, 'registry'),
    ASSAY_REGISTRY_PORT: '0',
    ASSAY_REGISTRY_BOOTSTRAP_KEYS_DIR: keysDir,
  });
  const common = { ASSAY_REGISTRY_URL: registryUrl };
  const monitoringUrl = await start('monitoring', {
    ASSAY_DATA_DIR: join(dir, 'monitoring'),
    ...common,
    ASSAY_MONITORING_PORT: '0',
    ASSAY_SERVICE_KEY_FILE: join(keysDir, 'monitoring'),
  });
  inferenceUrl = await start('inference', {
    ...common,
    ASSAY_INFERENCE_PORT: '0',
    ASSAY_INFERENCE_CACHE_DIR: join(dir, 'inference'),
    ASSAY_INFERENCE_PIPELINES_FILE: await writePipelines(dir, PIPELINES),
    ASSAY_INFERENCE_PREDICTION_LOG_RATIOS: '{"quiet": 0}',
    ASSAY_INFERENCE_PREDICTION_LOG_LINGER_MS: '20',
    ASSAY_SERVICE_KEY_FILE: join(keysDir, 'inference'),
  });
  monitoring = createMonitoringClient({ url: monitoringUrl, bearerToken: await keyOf('admin') });
  const made = {
    trees: await treeModel(dir),
    exact: await identityModel(dir),
    quiet: await linearModel(dir),
  };
  await using registry = createRegistryClient({ url: registryUrl, bearerToken: await keyOf('admin') });
  for (const name of MODELS) {
    await registry.createModel({ name });
    const { version } = await registry.uploadPackage(name, made[name].dir);
    await registry.moveAlias(name, 'champion', { version, expectedRevision: 0 });
  }
});
afterAll(async () => {
  await monitoring?.close();
  await resources.disposeAsync();
});

async function resultsOf(name: string, count: number): Promise<Found[]> {
  const topics = [`${name}.out`, `${name}.dead`];
  const found = await readCommitted(secure.broker.bootstrap, topics, (all) => all.length >= count, {
    timeoutMs: WAIT_MS,
    quietMs: 500,
  });
  expect(found.map(({ topic }) => topic)).toEqual(Array.from({ length: count }, () => `${name}.out`));
  return found;
}

/** It takes a moment from the answer to the log. */
async function logged(id: string) {
  await expect
    .poll(() => monitoring.getPrediction(id).then((found) => found.id, String), { timeout: WAIT_MS, message: id })
    .toBe(id);
  return monitoring.getPrediction(id);
}

const EXACT =
  '{"i64":-9007199254740993,"f64":-0,"f32":null,"text":"é 😀","flag":true,"at":"2026-01-31T12:00:00.000001Z","vector":[1,-0,3]}';

describe('a prediction of a stream', () => {
  it('is logged over Kafka with its record and outputs, and gives the same bits again', async () => {
    const records = flightRecords(60);
    await feed(
      kafka,
      'trees.in',
      records.map((record, n) => ({
        key: `${n % 7}`,
        value: JSON.stringify(record),
        headers: { n: String(n), canary: CANARY },
      })),
    );
    const found = await resultsOf('trees', records.length);
    for (const { value, headers } of found) {
      const { id, outputs: predicted } = JSON.parse(String(value));
      const entry = await logged(id);
      expect(entry).toMatchObject({ door: 'kafka', endpointName: 'trees', versionId: headers['assay-version-id'] });
      expect(entry.record).toEqual(records[Number(headers.n)]);
      expect(entry.outputs).toEqual(predicted);
    }
    for (const { headers } of found.slice(0, 10)) {
      const replay = await monitoring.replay(headers['assay-prediction-id'] ?? '');
      expect(replay).toMatchObject({ same: true, sameExecutionClass: true, differences: [] });
    }
  });

  it('keeps every bit of what JSON parsers round', async () => {
    await feed(kafka, 'exact.in', [{ key: 'a', value: EXACT }]);
    const [result] = await resultsOf('exact', 1);
    const id = result?.headers['assay-prediction-id'] ?? '';
    const entry = await logged(id);
    expect(entry.record).toEqual(decodeJson(EXACT));
    expect(entry.outputs).toMatchObject({ i64_out: -9007199254740993n, f64_out: -0, f32_out: 'NaN' });
    expect(await monitoring.replay(id)).toMatchObject({ same: true });
  });

  it('is not logged where the share of its endpoint is 0, nor are those of requests', async () => {
    const records = flightRecords(20);
    await feed(
      kafka,
      'quiet.in',
      records.map((record) => ({ key: null, value: JSON.stringify(record) })),
    );
    await resultsOf('quiet', records.length);
    await using scoring = createScoringClient({ url: inferenceUrl, bearerToken: await keyOf('admin') });
    await scoring.score('quiet', records);
    const { predictions } = await scoring.score('trees', records.slice(0, 1));
    expect(await logged(predictions[0]?.id ?? '')).toMatchObject({ door: 'rest', endpointName: 'trees' });
    expect((await monitoring.listPredictions({ endpoint: 'quiet' })).items).toEqual([]);
    const metrics = await (
      await fetch(`${inferenceUrl}/metrics`, { headers: { authorization: `Bearer ${await keyOf('admin')}` } })
    ).text();
    // 60 trees and one exact by Kafka, one by REST.
    expect(/assay_inference_predictions_logged_total (\d+)/.exec(metrics)?.[1]).toBe('62');
    for (const door of ['rest', 'kafka']) {
      expect(metrics).toMatch(
        new RegExp(
          `assay_inference_request_seconds_count\\{door="${door}",endpoint="trees",model="trees",version="1"\\} [1-9]`,
        ),
      );
    }
  });
});

it('no key and no password is in any key, value or header of any topic, nor in what the services write', async () => {
  const secrets = [
    secure.user.password,
    ...(await Promise.all(['admin', 'inference', 'monitoring', 'training', 'batch'].map(keyOf))),
  ];
  const admin = kafka.admin();
  await admin.connect();
  const topics = (await admin.listTopics()).filter((topic) => !topic.startsWith('__'));
  await admin.disconnect();
  expect(topics).toEqual(expect.arrayContaining([TOPICS.models, TOPICS.predictions, 'trees.out', 'quiet.dead']));
  const found = await readCommitted(secure.broker.bootstrap, topics, (all) => all.length > 100, {
    timeoutMs: WAIT_MS,
    quietMs: 1000,
  });
  const holders = (text: string) =>
    found
      .filter(({ key, value, headers }) => [key, String(value), JSON.stringify(headers)].join('\n').includes(text))
      .map(({ topic }) => topic);
  expect(new Set(holders(CANARY))).toEqual(new Set(['trees.in', 'trees.out']));
  expect(new Set(found.map(({ topic }) => topic))).toContain(TOPICS.predictions);
  for (const secret of secrets) {
    expect(holders(secret)).toEqual([]);
    for (const output of outputs) expect(output()).not.toContain(secret);
  }
});
