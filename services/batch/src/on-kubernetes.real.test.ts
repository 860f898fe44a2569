/** The service with the Kubernetes launcher: its jobs run as the containers of a small cluster, in processes of their own. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BatchClient, createBatchClient } from '@assay/client';
import type { BatchJob, BatchSpec, KeySnapshot } from '@assay/contracts';
import { openDatabaseEventBus } from '@assay/events';
import { formatKeyText, newSecret, secretSha256 } from '@assay/http';
import { type FakeCluster, freePort, startFakeCluster } from '@assay/jobs/testing';
import { createLogger, loadConfig } from '@assay/runtime';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { follow, temporaryFolder } from './batch-under-test.ts';
import { batchConfig } from './config.ts';
import { flightModel, flightRecords, writeCsv } from './models-under-test.ts';
import { type RegistryUnderTest, startRegistry } from './registry-under-test.ts';
import { createBatch } from './service.ts';

const ROWS = 2500;
const FULL = '0/1 nodes are available: 1 Insufficient memory.';

let opened: AsyncDisposableStack;
let cluster: FakeCluster;
let registry: RegistryUnderTest;
let dataDir: string;
let jobsFile: string;
let port: number;

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  cluster = opened.use(await startFakeCluster());
  opened.use(cluster.choose());
  registry = opened.use(await startRegistry());
  dataDir = await temporaryFolder(opened);
  registry.add(await flightModel(dataDir));
  const bytes = await readFile(await writeCsv(join(dataDir, 'rows.csv'), flightRecords(ROWS)));
  registry.addDataset('flights', { name: 'rows.csv', bytes });
  jobsFile = join(dataDir, 'jobs.yaml');
  await writeFile(jobsFile, 'namespace: assay-jobs\nimage: assay/batch:1\n');
  port = await freePort();
});
afterEach(() => opened.disposeAsync());

async function startService(env: Readonly<Record<string, string>> = {}) {
  const log = createLogger({ service: 'batch', level: 'silent' });
  const bus = await openDatabaseEventBus({ url: `sqlite:${join(dataDir, 'events.sqlite')}`, log });
  const onKubernetes = { launcher: 'kubernetes', jobsFile, publicUrl: `http://127.0.0.1:${port}`, port };
  const flags = { ...onKubernetes, dataDir, registryUrl: registry.url, logLevel: 'silent' };
  const service = await createBatch(loadConfig(batchConfig, { flags, env }), { bus, log });
  await service.start();
  const stopped = new AsyncDisposableStack();
  stopped.defer(() => bus.close());
  stopped.defer(() => service.close());
  opened.defer(() => stopped.disposeAsync());
  return { stop: () => stopped.disposeAsync() };
}

function connect(bearerToken?: string): BatchClient {
  const url = `http://127.0.0.1:${port}`;
  return opened.use(createBatchClient({ url, ...(bearerToken === undefined ? {} : { bearerToken }) }));
}

const spec = (more: Partial<BatchSpec> = {}): BatchSpec => ({
  model: 'flights',
  input: { dataset: 'flights' },
  output: { dataset: 'scored' },
  shardRows: 1000,
  ...more,
});
const waits = ({ progress }: BatchJob) => progress?.stage === 'waiting';
const launches = () => cluster.api.calls.filter(({ method, path }) => method === 'POST' && path.endsWith('/jobs'));

async function followUntil(client: BatchClient, id: string, until: (job: BatchJob) => boolean): Promise<BatchJob> {
  for await (const job of client.followJob(id)) if (until(job)) return job;
  throw new Error(`job ${id} has ended before`);
}

test('a job waits with the words of the scheduler, over a restart of its service too, then scores a dataset into another', async () => {
  const first = await startService();
  cluster.setFull(FULL);
  const { id, state } = await connect().createJob({ spec: spec({ resources: { cpu: 1, memory: '1Gi' } }) });
  expect(state).toBe('queued');
  const waiting = await followUntil(connect(), id, waits);
  expect(waiting).toMatchObject({ state: 'starting', progress: { message: `no node can take it: ${FULL}` } });
  expect(waiting).toMatchObject({ version: { versionId: 'ver_1' }, dataset: { datasetName: 'flights', version: 1 } });
  await first.stop();
  registry.addDataset('flights', { name: 'rows.csv', bytes: Buffer.from('hour\n1\n') });
  await startService();
  const client = connect();
  cluster.setFull(undefined);
  const job = await follow(client, id);
  expect(job).toMatchObject({ state: 'succeeded', attempts: 1, dataset: { version: 1 }, failure: null });
  expect(job.result).toMatchObject({ rowsIn: ROWS, rowsOut: ROWS, shards: 3, dataset: { datasetName: 'scored' } });
  expect(registry.datasetVersions('scored')).toHaveLength(1);
  expect(launches()).toHaveLength(1);
  const [manifest] = cluster.api.all('jobs');
  expect(manifest).toHaveProperty('spec.template.spec.containers.0.resources.requests', {
    cpu: '1000m',
    memory: '1024Mi',
  });
});

test('paths are refused when the job is created, each with what to name instead', async () => {
  await startService();
  const created = connect().createJob({ spec: spec({ input: { path: '/in.csv' }, output: { path: '/out' } }) });
  await expect(created).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    details: [
      { place: 'spec.input.path', expected: 'a registered dataset in spec.input.dataset' },
      { place: 'spec.output.path', expected: 'a dataset in spec.output.dataset' },
    ],
  });
});

test('a job is cancelled while it waits, and leaves nothing', async () => {
  await startService();
  const client = connect();
  cluster.setFull(FULL);
  const { id } = await client.createJob({ spec: spec() });
  await followUntil(client, id, waits);
  await client.cancelJob(id);
  expect(await follow(client, id)).toMatchObject({ state: 'cancelled', result: null });
  expect(registry.datasetVersions('scored')).toEqual([]);
});

test('neither the key of the service nor the token of a job is in a Job or its pod', async () => {
  const keyOf = (id: string, scopes: string[]) => {
    const secret = newSecret();
    const principal = { principalId: id, principalName: id, principalKind: 'service' as const };
    const entry: KeySnapshot['keys'][number] = { id, secretSha256: secretSha256(secret), ...principal, scopes };
    return { text: formatKeyText({ id, secret }), secret, entry };
  };
  const own = keyOf('key_batch', ['read', 'register']);
  const scorer = keyOf('key_scorer', ['score']);
  const writer = keyOf('key_writer', ['score', 'register']);
  registry.keys = [own.entry, scorer.entry, writer.entry];
  await startService({ ASSAY_SERVICE_KEY: own.text });
  await expect(connect(scorer.text).createJob({ spec: spec() })).rejects.toMatchObject({
    code: 'PERMISSION_DENIED',
    message: expect.stringContaining('writing a dataset needs the scope register too'),
  });
  const client = connect(writer.text);
  const { id } = await client.createJob({ spec: spec() });
  expect(await follow(client, id)).toMatchObject({ state: 'succeeded', failure: null });
  const [secret] = cluster.api.all('secrets') as unknown as { stringData: Record<string, string> }[]; // as it was made
  const environment: { ASSAY_JOB_TOKEN: string } = JSON.parse(secret?.stringData['environment.json'] ?? '{}');
  const token = environment.ASSAY_JOB_TOKEN;
  expect(token.length).toBeGreaterThan(40);
  expect(JSON.stringify(secret)).not.toContain(own.secret);
  const manifests = JSON.stringify([cluster.api.all('jobs'), cluster.api.all('pods')]);
  expect(manifests).toContain(id);
  for (const planted of [own.secret, writer.secret, token]) expect(manifests).not.toContain(planted);
});
