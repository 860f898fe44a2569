/** A training spec that the registry keeps becomes a job by its name, and its version says so. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistryClient, createTrainingClient, type RegistryClient, type TrainingClient } from '@assay/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { customerSpec, writeCustomers } from '../../services/training/src/training-under-test.ts';
import { createStandalone } from '../parts/standalone.ts';

const resources = new AsyncDisposableStack();
let registry: RegistryClient;
let training: TrainingClient;
let customers: string;

beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-by-name-'));
  resources.defer(() => rm(dir, { recursive: true, force: true }));
  customers = await writeCustomers(dir, 500);
  const running = await createStandalone(join(dir, 'data'));
  resources.defer(() => running.close());
  await running.start();
  registry = resources.use(createRegistryClient({ url: running.services.registry }));
  training = resources.use(createTrainingClient({ url: running.services.training }));
});
afterAll(() => resources.disposeAsync());

const specOf = (l2: number) => customerSpec(customers, { name: 'logistic-regression', l2 });

test('a job by the name of a spec has the spec as it was, and it, its version and its entry lead back to it', async () => {
  const kept = await registry.putTrainingSpec('nightly', { spec: specOf(1), expectedRevision: 0 });
  const created = await training.createJob({ spec: { name: 'nightly' } });
  const specSource = { name: 'nightly', revision: 1, specSha256: kept.specSha256 };
  expect(created).toMatchObject({ spec: kept.spec, specSource });
  const changed = await registry.putTrainingSpec('nightly', { spec: specOf(2), expectedRevision: 1 });
  let job = created;
  for await (job of training.followJob(created.id)) if (job.failure !== null) break;
  expect(job).toMatchObject({ state: 'succeeded', failure: null, spec: specOf(1), specSource });
  const { origin } = await registry.getVersionLineage('customers', job.result?.version ?? 0);
  expect(origin).toMatchObject({ specSha256: kept.specSha256, specSource: { name: 'nightly', revision: 1 } });
  expect(origin.specSha256).not.toBe(changed.specSha256);
  const submission = () =>
    registry.audit({ resource: `job/${job.id}`, action: 'job.submit' }).then(({ items }) => items[0]?.details);
  await expect
    .poll(submission, { timeout: 20_000 })
    .toMatchObject({ specName: 'nightly', specRevision: 1, specSha256: kept.specSha256 });
});

test('a request that is made again gives its job, whatever has become of the spec', async () => {
  await registry.putTrainingSpec('weekly', { spec: specOf(1), expectedRevision: 0 });
  const request = { spec: { name: 'weekly' }, idempotencyKey: 'week-48' };
  const created = await training.createJob(request);
  await registry.deleteTrainingSpec('weekly', 1);
  expect(await training.createJob(request)).toMatchObject({ id: created.id, spec: specOf(1) });
  await expect(training.createJob({ ...request, idempotencyKey: 'week-49' })).rejects.toMatchObject({
    code: 'NOT_FOUND',
  });
});

test('a spec that is not there is named, with the one that was meant', async () => {
  await expect(training.createJob({ spec: { name: 'nightyl' } })).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringContaining('there is no training spec "nightyl"; did you mean "nightly"?'),
  });
});

test('what the trainer refuses is told when the job is made', async () => {
  const { features, ...rest } = specOf(1);
  const spec = { ...rest, features: [...features, ...features.slice(0, 1)] };
  await registry.putTrainingSpec('odd', { spec, expectedRevision: 0 });
  await expect(training.createJob({ spec: { name: 'odd' } })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    details: [{ place: expect.stringMatching(/^spec\.features/) }],
  });
});
