import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrainingSpec } from '@assay/contracts';
import { openPackage } from '@assay/model-package';
import { createScorer } from '@assay/scoring';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  customerSpec,
  follow,
  startTraining,
  type TrainingUnderTest,
  temporaryFolder,
  writeCustomers,
} from './training-under-test.ts';

const opened = new AsyncDisposableStack();
let training: TrainingUnderTest;
let folder: string;
let customers: string;

beforeAll(async () => {
  folder = await temporaryFolder(opened);
  training = opened.use(await startTraining());
  customers = await writeCustomers(folder, 2000);
});
afterAll(() => opened.disposeAsync());

describe.each([
  [
    'lightgbm',
    { name: 'lightgbm', rounds: 60, earlyStoppingRounds: 10, params: { num_leaves: 7, learning_rate: 0.1 } },
  ],
  ['xgboost', { name: 'xgboost', rounds: 60, earlyStoppingRounds: 10, params: { max_depth: 3, eta: 0.2 } }],
  ['logistic-regression', { name: 'logistic-regression', l2: 1 }],
] as const)('a job with %s', (name, trainer) => {
  test('becomes a registered version that proves itself and is better than its baseline', async () => {
    const job = await training.run(customerSpec(customers, trainer));
    expect(job.failure).toBeNull();
    expect(job).toMatchObject({ state: 'succeeded', attempts: 1, progress: { stage: 'done', percent: 100 } });
    const { metrics, baseline, rows } = job.result ?? {};
    expect((rows?.train ?? 0) + (rows?.validation ?? 0) + (rows?.test ?? 0)).toBe(2000);
    expect(metrics?.auc).toBeGreaterThan(0.7);
    expect(metrics?.auc_ci95_low).toBeLessThan(metrics?.auc ?? 0);
    expect(metrics?.auc_ci95_high).toBeGreaterThan(metrics?.auc ?? 1);
    expect(baseline?.auc).toBe(0.5);
    expect(metrics?.log_loss).toBeLessThan(baseline?.log_loss ?? 0);

    const version = training.registry.versions.find(({ id }) => id === job.result?.versionId);
    if (version === undefined) throw new Error('the job names a version that the registry does not have');
    expect(training.registry.aliases.get('champion')).toBe(version.id);
    expect(version.tags).toEqual({ team: 'shop', job: job.id });

    const dir = join(folder, name);
    await training.registry.writePackage(version, dir);
    const pkg = await openPackage(dir, { expectedDigest: job.result?.digest ?? '' });
    const { golden, lineage, profile, signature } = pkg.manifest;
    expect(golden.source).toBe('training');
    expect(golden.records.length).toBeGreaterThanOrEqual(64);
    expect(lineage).toMatchObject({ jobId: job.id, seed: 5, metrics, baseline, parity: { rows: rows?.test } });
    expect(lineage.parity?.maxDifference).toBeLessThanOrEqual(lineage.parity?.tolerance ?? 0);
    expect(lineage.datasetSha256s).toHaveLength(1);
    expect(lineage.specSha256).toMatch(/^[0-9a-f]{64}$/);
    expect(Object.keys(lineage.libraries)).toEqual(expect.arrayContaining(['duckdb', 'onnxruntime-node']));
    expect(profile?.features.age).toMatchObject({ count: profile?.rows, missing: 0, min: 18, max: 77 });
    expect(profile?.features.city?.topCategories).toHaveLength(8);
    expect(signature.features.map(({ nullable }) => nullable)).toEqual([false, false, true, false, false, true, false]);
    expect(signature.features[1]?.values).toMatchObject({
      set: 'open',
      values: expect.arrayContaining(['Bern', 'Zug']),
    });

    const scorer = await createScorer(pkg, {});
    const batch = scorer.newBatch();
    batch.appendRecords([
      { age: 70, city: 'Nowhere', spent: null, member: true, visits: 3, half: null, joined: '2024-02-01T00:00:00Z' },
    ]);
    // An old member who came often: more likely than not, also from a city that nobody has heard of.
    const { label, probabilities } = JSON.parse(JSON.stringify((await scorer.run(batch)).record(0)));
    expect(label).toBe(1);
    expect(probabilities[0] + probabilities[1]).toBeCloseTo(1, 6);
    scorer.close();
  });
});

test('the log tells the stages, warns of a leak, and has no token', async () => {
  const spec = customerSpec(customers);
  const leaking = {
    name: 'later',
    dtype: 'float64',
    expression: 'back::DOUBLE + coalesce(spent, 0) / 1000000',
  } as const;
  const job = await training.run({ ...spec, features: [...spec.features, leaking] });
  let log = '';
  await training.client.logs(job.id, (text) => {
    log += text;
  });
  for (const stage of [
    'read',
    'clean',
    'split',
    'analyse',
    'features',
    'baseline',
    'train',
    'parity',
    'register',
    'done',
  ]) {
    expect(log).toMatch(new RegExp(`Z ${stage}(:|$)`, 'm'));
  }
  expect(log).toContain('feature "later" alone has an AUC of');
  expect(log).not.toContain('Bearer');
});

describe('what is wrong with the spec is told', () => {
  test('at once, with each place, where the data is not needed', async () => {
    const spec = customerSpec(customers);
    const [age] = spec.features;
    if (age === undefined) throw new Error('the spec has no features');
    const wrong: TrainingSpec = {
      ...spec,
      features: [age, age, { name: 'label', dtype: 'float64', values: 'closed' }],
      split: { by: 'random', validation: 0.5, test: 0.5 },
    };
    await expect(training.client.createJob({ spec: wrong })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      details: [
        { place: 'spec.features[1].name', message: '"age" is there twice' },
        { place: 'spec.features[2].name' },
        { place: 'spec.features[2].values' },
        { place: 'spec.split' },
      ],
    });
  });

  test('when the job meets it, as a failure of kind configuration without a stack', async () => {
    const job = await training.run({ ...customerSpec(customers), target: { name: 'returns', expression: 'bakc' } });
    expect(job).toMatchObject({ state: 'failed', attempts: 1, failure: { kind: 'configuration', retryable: false } });
    expect(job.failure?.message).toContain('target.expression: Binder Error: Referenced column "bakc" not found');
    expect(job.failure?.message).not.toContain('\n');
  });
});

test('a broken row fails the job with kind data, with file and row number', async () => {
  const path = join(folder, 'broken.csv');
  await writeFile(path, `${await readFile(customers, 'utf8')}31,Bern\n`);
  const job = await training.run(customerSpec(path));
  expect(job).toMatchObject({ state: 'failed', attempts: 1, failure: { kind: 'data', retryable: false } });
  expect(job.failure?.message).toContain(`${path}: row 2002: `);
});

test('the same idempotency key gives the same job', async () => {
  const request = { spec: customerSpec(customers), idempotencyKey: 'nightly-2024-03-01' };
  const first = await training.client.createJob(request);
  expect((await training.client.createJob(request)).id).toBe(first.id);
  expect((await follow(training.client, first.id)).state).toBe('succeeded');
});

test('a job is cancelled between two rounds, and nothing is registered', async () => {
  const before = training.registry.registrations;
  const { id } = await training.client.createJob({
    spec: customerSpec(customers, { name: 'lightgbm', rounds: 100_000 }),
  });
  for await (const job of training.client.followJob(id)) {
    if (job.progress?.stage === 'train') await training.client.cancelJob(id);
  }
  expect(await training.client.getJob(id)).toMatchObject({ state: 'cancelled', result: null, failure: null });
  expect(training.registry.registrations).toBe(before);
});

test('only the running attempt may report, by its token', async () => {
  const { id } = await training.client.createJob({ spec: customerSpec(customers) });
  const put = (authorization?: string) =>
    fetch(`${training.url}/v1/jobs/${id}/progress`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json', ...(authorization === undefined ? {} : { authorization }) },
      body: JSON.stringify({ stage: 'train', percent: 50 }),
    });
  expect((await put()).status).toBe(401);
  expect((await put('Bearer guessed')).status).toBe(401);
  await follow(training.client, id);
  expect((await put('Bearer guessed')).status).toBe(412);
});

test('metrics count the jobs by the state they ended in', async () => {
  await training.run(customerSpec(customers));
  const metrics = await (await fetch(`${training.url}/metrics`)).text();
  expect(metrics).toMatch(/^assay_training_jobs_total\{state="succeeded"\} [1-9]/m);
  expect(metrics).toMatch(/^assay_training_rows_total [1-9]/m);
  expect((await fetch(`${training.url}/readyz`)).status).toBe(200);
  expect(await readdir(join(training.dataDir, 'training'))).toContain('launches');
});
