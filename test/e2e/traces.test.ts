/** One trace through all services: from the request that asked for a job to the version that it registered, and back. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createBatchClient,
  createMonitoringClient,
  createRegistryClient,
  createScoringClient,
  createTrainingClient,
  type RegistryClient,
} from '@assay/client';
import { AssayError, type Event, TOPICS } from '@assay/contracts';
import { openDatabaseEventBus } from '@assay/events';
import { createLogger } from '@assay/runtime';
import type { StandaloneServices } from '@assay/standalone';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { customerSpec, writeCustomers } from '../../services/training/src/training-under-test.ts';
import { createStandalone } from '../parts/standalone.ts';

interface Line {
  readonly service: string;
  readonly msg: string;
  readonly route?: string;
  readonly traceId?: string;
}

const STATE = 'congo=t61rcWkgMzE,rojo=1';
const traceIdOf = (digit: string) => digit.repeat(32);
const traced = (digit: string) => ({ traceparent: `00-${traceIdOf(digit)}-00f067aa0ba902b7-01`, tracestate: STATE });

const resources = new AsyncDisposableStack();
const lines: Line[] = [];
let dataDir: string;
let services: StandaloneServices;
let registry: RegistryClient;
let customers: string;

beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-traces-'));
  resources.defer(() => rm(dir, { recursive: true, force: true }));
  customers = await writeCustomers(dir, 500);
  dataDir = join(dir, 'data');
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const log = (service: string) => createLogger({ service, level: 'debug', destination });
  const running = await createStandalone(dataDir, {}, { log });
  resources.defer(() => running.close());
  await running.start();
  ({ services } = running);
  registry = resources.use(createRegistryClient({ url: services.registry }));
});
afterAll(() => resources.disposeAsync());

/** The routes by which a service was asked as part of a trace. */
const routesOf = (service: string, digit: string) =>
  new Set(
    lines.filter((line) => line.service === service && line.traceId === traceIdOf(digit)).map(({ route }) => route),
  );

test('a job, its log, its calls of the registry and all their events are of the trace that asked for it', async () => {
  const { features, ...rest } = customerSpec(customers, { name: 'logistic-regression', l2: 1 });
  // Those that the file has: the same rows are scored below.
  const spec = { ...rest, features: features.filter(({ expression }) => expression === undefined) };
  await registry.putTrainingSpec('nightly', { spec, expectedRevision: 0 });
  await using training = createTrainingClient({ url: services.training });
  const { id } = await training.createJob({ spec: { name: 'nightly' } }, traced('a'));
  expect([...routesOf('registry', 'a')]).toContain('/v1/training-specs/:name');
  let job = await training.getJob(id);
  for await (job of training.followJob(id)) if (job.failure !== null) break;
  expect(job).toMatchObject({ state: 'succeeded', failure: null });

  let log = '';
  await training.logs(id, (text) => {
    log += text;
  });
  expect(log).toMatch(new RegExp(`^\\S+Z trace ${traceIdOf('a')}\\n`));
  expect(lines.filter(({ msg }) => msg.startsWith('job ')).map(({ msg, traceId }) => [msg, traceId])).toEqual(
    ['starting', 'running', 'succeeded'].map((state) => [`job ${state}`, traceIdOf('a')]),
  );
  expect([...routesOf('registry', 'a')]).toEqual(
    expect.arrayContaining(['/v1/blobs/:sha256', '/v1/models/:model/versions', '/v1/models/:model/aliases/:alias']),
  );

  const events: Event[] = [];
  const silent = createLogger({ service: 'test', level: 'silent' });
  const bus = await openDatabaseEventBus({ url: `sqlite:${join(dataDir, 'events.sqlite')}`, log: silent });
  const topics = [TOPICS.jobs, TOPICS.audit, TOPICS.models];
  await bus.subscribe({ topics, delivery: 'broadcast', from: 'earliest' }, async (event) => void events.push(event));
  const of = (subject: string | undefined) => events.filter((event) => event.subject === subject);
  await expect.poll(() => of(id).length, { timeout: 20_000 }).toBe(6); // four states, submission and end
  await expect.poll(() => of(job.result?.versionId).length, { timeout: 20_000 }).toBe(1);
  await bus.close();
  for (const { traceparent, tracestate } of [...of(id), ...of(job.result?.versionId)]) {
    expect([traceparent?.slice(3, 35), tracestate]).toEqual([traceIdOf('a'), STATE]);
  }
});

test('what a batch job names is looked up as part of its trace, and so is what its process fetches', async () => {
  await using batch = createBatchClient({ url: services.batch });
  const spec = { model: 'customers', input: { path: customers }, output: { path: join(dataDir, 'scored') } };
  let job = await batch.createJob({ spec }, traced('d'));
  for await (job of batch.followJob(job.id));
  expect(job.failure?.message ?? job.state).toBe('succeeded');
  const routes = [...routesOf('registry', 'd')];
  expect(routes).toContain('/v1/models/:model/aliases/:alias'); // by the service, before the launch
  expect(routes).toContain('/v1/versions/:id/files/*'); // by its process
});

test('a prediction has the trace that asked for it, and its replay asks the registry as part of its own', async () => {
  await using scoring = createScoringClient({ url: services.inference });
  await using monitoring = createMonitoringClient({ url: services.monitoring });
  const record = {
    age: 70,
    city: 'Bern',
    spent: null,
    member: true,
    visits: 3,
    joined: '2024-02-01T00:00:00Z',
  };
  const score = () => scoring.score('customers', [record], traced('b'));
  const isThere = async () => (await score().catch((error: unknown) => AssayError.from(error).code)) !== 'NOT_FOUND';
  await expect.poll(isThere, { timeout: 20_000 }).toBe(true);
  const { predictions } = await score();
  const id = predictions[0]?.id ?? '';
  const logged = () =>
    monitoring.getPrediction(id).catch((error: unknown) => ({ traceId: AssayError.from(error).code }));
  await expect.poll(async () => (await logged()).traceId, { timeout: 20_000 }).toBe(traceIdOf('b'));
  expect(await monitoring.replay(id, traced('c'))).toMatchObject({ same: true });
  expect([...routesOf('registry', 'c')]).toContain('/v1/versions/:id');
});
