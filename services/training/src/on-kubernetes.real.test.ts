/** The service with the Kubernetes launcher: its jobs run as the containers of a small cluster, in processes of their own. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTrainingClient, type TrainingClient } from '@assay/client';
import type { Job, KeySnapshot, TrainingSpec } from '@assay/contracts';
import { openDatabaseEventBus } from '@assay/events';
import { formatKeyText, newSecret, secretSha256 } from '@assay/http';
import { type FakeCluster, freePort, startFakeCluster } from '@assay/jobs/testing';
import { createLogger, loadConfig } from '@assay/runtime';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { trainingConfig } from './config.ts';
import { type RegistryUnderTest, startRegistry } from './registry-under-test.ts';
import { createTraining } from './service.ts';
import { customerSpec, follow, settings, temporaryFolder, writeCustomers } from './training-under-test.ts';

const FULL = '0/1 nodes are available: 1 Insufficient cpu.';
const NO_GPU = '0/1 nodes are available: 1 Insufficient nvidia.com/gpu.';

let opened: AsyncDisposableStack;
let cluster: FakeCluster;
let registry: RegistryUnderTest;
let dataDir: string;
let jobsFile: string;
let port: number;

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  cluster = opened.use(await startFakeCluster());
  registry = opened.use(await startRegistry());
  dataDir = await temporaryFolder(opened);
  jobsFile = join(dataDir, 'jobs.yaml');
  await writeFile(jobsFile, 'namespace: assay-jobs\nimage: assay/training:1\n');
  const customers = await readFile(await writeCustomers(dataDir, 1500), 'utf8');
  registry.putDataset('customers', { 'customers.csv': customers });
  port = await freePort();
  opened.use(cluster.choose());
});
afterEach(() => opened.disposeAsync());

async function startService(flags: object = {}, env: Readonly<Record<string, string>> = {}) {
  const log = createLogger({ service: 'training', level: 'silent' });
  const bus = await openDatabaseEventBus({ url: `sqlite:${join(dataDir, 'events.sqlite')}`, log });
  const onKubernetes = { launcher: 'kubernetes', jobsFile, publicUrl: `http://127.0.0.1:${port}`, port };
  const config = loadConfig(trainingConfig, {
    flags: { ...settings(dataDir, registry.url), ...onKubernetes, ...flags },
    env,
  });
  const service = await createTraining(config, { bus, log });
  await service.start();
  const stopped = new AsyncDisposableStack();
  stopped.defer(() => bus.close());
  stopped.defer(() => service.close());
  opened.defer(() => stopped.disposeAsync());
  return { stop: () => stopped.disposeAsync() };
}

function connect(bearerToken?: string): TrainingClient {
  const url = `http://127.0.0.1:${port}`;
  return opened.use(createTrainingClient({ url, ...(bearerToken === undefined ? {} : { bearerToken }) }));
}

function spec(more: Partial<TrainingSpec> = {}): TrainingSpec {
  const { source: _, ...rest } = customerSpec('');
  return { ...rest, source: { dataset: 'customers' }, trainer: { name: 'logistic-regression' }, ...more };
}

/** Follows the job until what it shows satisfies `until`. */
async function followUntil(client: TrainingClient, id: string, until: (job: Job) => boolean): Promise<Job> {
  for await (const job of client.followJob(id)) if (until(job)) return job;
  throw new Error(`job ${id} has ended before`);
}
const waits = ({ progress }: Job) => progress?.stage === 'waiting';
const launches = () => cluster.api.calls.filter(({ method, path }) => method === 'POST' && path.endsWith('/jobs'));

test('a job waits for a node with the words of the scheduler, then trains in its pod and registers its version', async () => {
  await startService();
  const client = connect();
  cluster.setFull(FULL);
  const { id, state } = await client.createJob({ spec: spec({ resources: { cpu: 0.5, memory: '512Mi' } }) });
  expect(state).toBe('queued');
  const waiting = await followUntil(client, id, waits);
  expect(waiting).toMatchObject({ state: 'starting', progress: { message: `no node can take it: ${FULL}` } });
  const [job] = cluster.api.all('jobs');
  expect(job).toHaveProperty('spec.template.spec.containers.0.resources', {
    requests: { cpu: '500m', memory: '512Mi' },
    limits: { memory: '512Mi' },
  });
  cluster.setFull(undefined);
  const seen = new Set<string>();
  for await (const { state, progress } of client.followJob(id))
    if (state === 'running') seen.add(progress?.stage ?? '');
  expect(await client.getJob(id)).toMatchObject({
    state: 'succeeded',
    attempts: 1,
    dataset: { datasetName: 'customers', version: 1, id: 'dsv_customers' },
    result: { modelName: 'customers', version: 1 },
  });
  expect([...seen]).toContain('train');
  expect(registry.versions).toHaveLength(1);
  let log = '';
  await client.logs(id, (text) => {
    log += text;
  });
  expect(log).toMatch(/Z register/);
});

test.each([
  ['by its resources', { trainer: { name: 'xgboost' }, resources: { gpus: 1 } }],
  ['by its trainer', { trainer: { name: 'xgboost', device: 'cuda' } }],
] as const)(
  'a job that asks for a GPU %s is placed on the GPU pool, and one that does not is kept off it',
  async (_, asks) => {
    const pool = 'gpu:\n  image: assay/training-gpu:1\n  nodeSelector: { pool: gpus }\n';
    await writeFile(jobsFile, `namespace: assay-jobs\nimage: assay/training:1\n${pool}`);
    await startService({ maxConcurrentJobs: 2 });
    const client = connect();
    cluster.setFull(NO_GPU);
    const onGpu = await client.createJob({ spec: spec(asks) });
    const message = `no node can take it: ${NO_GPU}`;
    expect(await followUntil(client, onGpu.id, waits)).toMatchObject({ progress: { message } });
    await followUntil(client, (await client.createJob({ spec: spec() })).id, waits);
    const pods = new Map(
      cluster.api
        .all('pods')
        .map(({ metadata, spec }) => [metadata.annotations?.['assay.dev/launch'] === `${onGpu.id}.1`, spec]),
    );
    expect(pods.get(true)).toMatchObject({
      nodeSelector: { pool: 'gpus' },
      tolerations: expect.arrayContaining([expect.objectContaining({ key: 'nvidia.com/gpu' })]),
      containers: [{ image: 'assay/training-gpu:1', resources: { limits: { 'nvidia.com/gpu': '1' } } }],
    });
    expect(pods.get(false)).toMatchObject({ tolerations: [] });
    expect(JSON.stringify(pods.get(false))).not.toContain('gpu');
  },
);

test('a service that is started again finds the pod of its job, and goes on with it', async () => {
  const first = await startService();
  cluster.setFull(FULL);
  const { id } = await connect().createJob({ spec: spec() });
  await followUntil(connect(), id, waits);
  await first.stop();
  expect(cluster.api.watchesOpen()).toBe(0);
  await startService();
  const client = connect();
  expect(await client.getJob(id)).toMatchObject({ state: 'starting', attempts: 1 });
  cluster.setFull(undefined);
  expect(await follow(client, id)).toMatchObject({ state: 'succeeded', attempts: 1 });
  expect(launches()).toHaveLength(1);
  expect(registry.versions).toHaveLength(1);
});

test('a pod that runs while its service is started again ends as one attempt, with one version', async () => {
  const first = await startService();
  const { id } = await connect().createJob({ spec: spec() });
  await followUntil(connect(), id, ({ state }) => state === 'running');
  await first.stop();
  await startService();
  expect(await follow(connect(), id)).toMatchObject({ state: 'succeeded', attempts: 1, failure: null });
  expect(launches()).toHaveLength(1);
  expect(registry.versions).toHaveLength(1);
});

test('a job is cancelled while it waits, and while it trains', async () => {
  await startService({ maxConcurrentJobs: 2, cancelGraceMs: 5000 });
  const client = connect();
  cluster.setFull(FULL);
  const waiting = await client.createJob({ spec: spec() });
  await followUntil(client, waiting.id, waits);
  await client.cancelJob(waiting.id);
  expect(await follow(client, waiting.id)).toMatchObject({ state: 'cancelled', result: null });
  cluster.setFull(undefined);
  const training = await client.createJob({ spec: spec() });
  await followUntil(client, training.id, ({ state }) => state === 'running');
  await client.cancelJob(training.id);
  expect(await follow(client, training.id)).toMatchObject({ state: 'cancelled', result: null });
  expect(registry.versions).toEqual([]);
});

describe('what cannot be is a failure that says so', () => {
  test('a right that is missing, by its name', async () => {
    const message =
      'jobs.batch is forbidden: User "system:serviceaccount:assay:training" cannot create resource "jobs" in API group "batch" in the namespace "assay-jobs"';
    cluster.api.refuse({ code: 403, reason: 'Forbidden', message }, ({ method }) => method === 'POST');
    await startService();
    const client = connect();
    const { id } = await client.createJob({ spec: spec() });
    const job = await follow(client, id);
    expect(job).toMatchObject({ state: 'failed', attempts: 1, failure: { kind: 'configuration', retryable: false } });
    expect(job.failure?.message).toContain('may not create jobs.batch in namespace assay-jobs (403)');
  });

  test('rights that are missing altogether', async () => {
    const message = 'jobs.batch "x" is forbidden: User "u" cannot get resource "jobs" in API group "batch"';
    cluster.api.refuse({ code: 403, reason: 'Forbidden', message }, () => true);
    await startService();
    const client = connect();
    const { id } = await client.createJob({ spec: spec() });
    const job = await follow(client, id);
    expect(job.failure?.message).toContain('may not get jobs.batch in namespace assay-jobs (403)');
  });

  test('a dataset that is not there, at its place of the spec', async () => {
    await startService();
    const client = connect();
    const { id } = await client.createJob({ spec: spec({ source: { dataset: 'costumers' } }) });
    const job = await follow(client, id);
    expect(job).toMatchObject({ state: 'failed', attempts: 1, failure: { kind: 'configuration' } });
    expect(job.failure?.message).toContain('spec.source.dataset: the registry has no dataset costumers');
    expect(launches()).toEqual([]);
  });

  test('a file of the service, at once', async () => {
    await startService();
    const created = connect().createJob({ spec: spec({ source: { path: '/data/customers.csv' } }) });
    await expect(created).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      details: [{ place: 'spec.source.path', expected: 'a registered dataset in spec.source.dataset' }],
    });
  });

  test('settings that do not go together, at the start', async () => {
    await expect(startService({ jobsFile: undefined })).rejects.toThrow('set ASSAY_TRAINING_JOBS_FILE');
    await expect(startService({ publicUrl: undefined })).rejects.toThrow('set ASSAY_TRAINING_PUBLIC_URL');
    await writeFile(jobsFile, 'namespace: assay-jobs\nimage: x\nimmagePullPolicy: Always\n');
    await expect(startService()).rejects.toThrow('did you mean "imagePullPolicy"');
  });
});

test('neither the key of the service nor the token of a job is in a Job or its pod', async () => {
  const keyOf = (id: string, scopes: string[]) => {
    const secret = newSecret();
    const principal = { principalId: id, principalName: id, principalKind: 'service' as const };
    const entry: KeySnapshot['keys'][number] = { id, secretSha256: secretSha256(secret), ...principal, scopes };
    return { text: formatKeyText({ id, secret }), secret, entry };
  };
  const own = keyOf('key_training', ['read', 'register', 'promote']);
  const trainer = keyOf('key_trainer', ['train', 'promote']);
  registry.keys = [own.entry, trainer.entry];
  await startService({}, { ASSAY_SERVICE_KEY: own.text });
  const client = connect(trainer.text);
  const { id } = await client.createJob({ spec: spec() });
  expect(await follow(client, id)).toMatchObject({ state: 'succeeded' });
  const [secret] = cluster.api.all('secrets') as unknown as { stringData: Record<string, string> }[]; // as it was made
  const environment: { ASSAY_JOB_TOKEN: string } = JSON.parse(secret?.stringData['environment.json'] ?? '{}');
  const token = environment.ASSAY_JOB_TOKEN;
  expect(token.length).toBeGreaterThan(40);
  expect(JSON.stringify(secret)).not.toContain(own.secret);
  const manifests = JSON.stringify([cluster.api.all('jobs'), cluster.api.all('pods')]);
  expect(manifests).toContain(id);
  for (const planted of [own.secret, trainer.secret, token]) expect(manifests).not.toContain(planted);
});
