import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRegistryClient, type RegistryClient } from '@assay/client';
import { AssayError, type DatasetVersion, type TrainingResult, type TrainingSpec } from '@assay/contracts';
import { openPackage } from '@assay/model-package';
import { DataError } from '@assay/tables';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RegistryUnderTest, startRegistry } from '../registry-under-test.ts';
import { customerSpec, LIBRARY_CACHE, temporaryFolder, writeCustomers } from '../training-under-test.ts';
import { createReporter } from './reporter.ts';
import { runTrainingJob } from './run-job.ts';

const opened = new AsyncDisposableStack();
let folder: string;
let customers: string;
let registry: RegistryUnderTest;
let client: RegistryClient;
let jobs = 0;

beforeAll(async () => {
  folder = await temporaryFolder(opened);
  customers = await writeCustomers(folder, 1000);
  registry = opened.use(await startRegistry());
  client = opened.use(createRegistryClient({ url: registry.url }));
});
afterAll(() => opened.disposeAsync());

interface Ran {
  readonly result: TrainingResult;
  readonly lines: readonly string[];
}

async function run(spec: TrainingSpec, dataset?: DatasetVersion): Promise<Ran> {
  const jobId = `job_${++jobs}`;
  const lines: string[] = [];
  const report = createReporter({ push: async () => undefined, write: (line) => lines.push(line) });
  const input = {
    jobId,
    spec,
    baseDir: folder,
    createdAtMs: 1_700_000_000_000,
    trainingUrl: 'http://127.0.0.1:1',
    registryUrl: registry.url,
    libraries: { cacheDir: LIBRARY_CACHE },
    ...(dataset === undefined ? {} : { dataset }),
  };
  const surroundings = { dir: join(folder, jobId), registry: client, report, signal: new AbortController().signal };
  return { result: await runTrainingJob(input, surroundings), lines };
}

async function refusal(spec: TrainingSpec): Promise<AssayError> {
  const thrown: unknown = await run(spec).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof AssayError)) throw new Error(`expected an AssayError, got ${String(thrown)}`);
  return thrown;
}

test('the same spec and data give the same bytes', async () => {
  const filesOf = ({ result }: Ran) => registry.versions.find(({ id }) => id === result.versionId)?.files ?? [];
  const first = filesOf(await run(customerSpec(customers)));
  const second = filesOf(await run(customerSpec(customers)));
  const digest = (files: typeof first, path: string) => files.find((file) => file.path === path)?.sha256;
  expect(digest(first, 'model.onnx')).toMatch(/^[0-9a-f]{64}$/);
  expect(digest(second, 'model.onnx')).toBe(digest(first, 'model.onnx'));
  expect(digest(second, 'MLmodel')).toBe(digest(first, 'MLmodel'));
});

test('XGBoost gives the same bytes too, and its own name in the lineage', async () => {
  const spec = customerSpec(customers, { name: 'xgboost', rounds: 40, earlyStoppingRounds: 5, params: { eta: 0.2 } });
  const ran = [await run(spec), await run(spec)];
  const [first, second] = ran.map(({ result }) => registry.versions.find(({ id }) => id === result.versionId)?.files);
  const digest = (files: typeof first) => files?.find((file) => file.path === 'model.onnx')?.sha256;
  expect(digest(first)).toMatch(/^[0-9a-f]{64}$/);
  expect(digest(second)).toBe(digest(first));
  expect(ran[0]?.result.metrics.auc).toBeGreaterThan(0.7);
  expect((await manifestOf(ran[0])).lineage.libraries).toMatchObject({ xgboost: '3.2.0' });
});

describe('a dataset', () => {
  test('is fetched with its files, and is named in the lineage', async () => {
    const [header = '', ...lines] = (await readFile(customers, 'utf8')).trim().split('\n');
    const half = lines.length / 2;
    const dataset = registry.putDataset('customers', {
      'part-0.csv': [header, ...lines.slice(0, half)].join('\n'),
      'part-1.csv': [header, ...lines.slice(half)].join('\n'),
    });
    const spec: TrainingSpec = { ...customerSpec(customers), source: { dataset: 'customers' } };
    const ran = await run(spec, dataset);
    const { train = 0, validation = 0, test = 0 } = ran.result.rows ?? {};
    expect(train + validation + test).toBe(1000);
    const log = ran.lines.join('\n');
    expect(log).toContain(`fetch: dataset customers version 1, digest ${dataset.digest}: 2 files`);
    expect(log).toContain('read: customers version 1');
    const { lineage } = await manifestOf(ran);
    expect(lineage).toMatchObject({
      dataset: { id: dataset.id, name: 'customers', version: 1, digest: dataset.digest },
      datasetSha256s: dataset.files.map(({ sha256 }) => sha256),
      origin: 'made up',
      licence: 'CC0-1.0',
    });
  });

  test('whose files are not what they were is refused', async () => {
    const dataset = registry.putDataset('changed', { 'part-0.csv': 'a\n1\n' });
    const files = dataset.files.map((file) => ({ ...file, sha256: '0'.repeat(64) }));
    const spec: TrainingSpec = { ...customerSpec(customers), source: { dataset: 'changed' } };
    const running = run(spec, { ...dataset, files });
    await expect(running).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await expect(running).rejects.toThrow(/part-0\.csv/);
  });

  test('a broken row is told with its file and row', async () => {
    const text = await readFile(customers, 'utf8');
    const dataset = registry.putDataset('broken', { 'part-0.csv': `${text}31,Bern\n` });
    const spec: TrainingSpec = { ...customerSpec(customers), source: { dataset: 'broken' } };
    await expect(run(spec, dataset)).rejects.toThrow(/part-0\.csv: row 1002: /);
  });
});

/** Of the version that a job registered. */
async function manifestOf(ran: Ran | undefined) {
  const version = registry.versions.find(({ id }) => id === ran?.result.versionId);
  if (version === undefined) throw new Error('the job names a version that the registry does not have');
  const dir = join(folder, `package-${version.id}`);
  await registry.writePackage(version, dir);
  return (await openPackage(dir)).manifest;
}

test('a closed set takes what the data holds, and categories of integers are known by their value', async () => {
  const spec = customerSpec(customers);
  const { result } = await run({
    ...spec,
    features: [
      { name: 'city', dtype: 'string', values: 'closed' },
      { name: 'visits', dtype: 'int64', categorical: true, values: 'open' },
      { name: 'spent', dtype: 'float64' },
    ],
  });
  const version = registry.versions.find(({ id }) => id === result.versionId);
  expect(version?.signature.features[0]?.values).toMatchObject({
    set: 'closed',
    values: expect.arrayContaining(['Chur']),
  });
  expect(version?.signature.features[1]?.values?.values).toEqual(expect.arrayContaining([0, 39]));
});

test('a leak is warned of, copies of rows and rows without a target are told', async () => {
  const spec = customerSpec(customers);
  const { lines } = await run({
    ...spec,
    target: { name: 'returns', expression: 'CASE WHEN age = 20 THEN NULL ELSE back END' },
    features: [
      ...spec.features,
      { name: 'later', dtype: 'float64', expression: 'back::DOUBLE + coalesce(spent, 0) / 1e6' },
    ],
  });
  const log = lines.join('\n');
  expect(log).toContain('warning: feature "later" alone has an AUC of 1.0000');
  expect(log).toMatch(/clean: \d+ rows dropped: the target is null/);
});

describe('what is wrong with the spec is a refusal at its place', () => {
  test.each<[string, (spec: TrainingSpec) => TrainingSpec, string]>([
    [
      'a parameter that LightGBM does not have',
      (spec) => ({ ...spec, trainer: { name: 'lightgbm', params: { num_leavs: 3 } } }),
      'trainer.params.num_leavs: LightGBM has no parameter "num_leavs"; did you mean "num_leaves"?',
    ],
    [
      "a parameter that is not the spec's to set",
      (spec) => ({ ...spec, trainer: { name: 'lightgbm', params: { device: 'cuda' } } }),
      'trainer.params.device: "device" cannot be set here: this trainer runs on the CPU',
    ],
    [
      'a value that LightGBM refuses',
      (spec) => ({ ...spec, trainer: { name: 'lightgbm', params: { num_leaves: 1 } } }),
      'LightGBM: Check failed: (num_leaves) > (1)',
    ],
    [
      'a parameter that XGBoost does not have',
      (spec) => ({ ...spec, trainer: { name: 'xgboost', params: { max_dept: 3 } } }),
      'trainer.params.max_dept: XGBoost has no parameter "max_dept" for trees; did you mean "max_depth"?',
    ],
    [
      'a file that is not there',
      (spec) => ({ ...spec, source: { path: 'nothing.csv' } }),
      'nothing.csv: there is no such file',
    ],
    [
      'a column that is not there',
      (spec) => ({
        ...spec,
        split: { by: 'time', column: 'joind', validationFrom: '2024-01-10', testFrom: '2024-02-01' },
      }),
      'split.column: the data has no column "joind"; did you mean "joined"?',
    ],
  ])('%s', async (_name, change, message) => {
    const error = await refusal(change(customerSpec(customers)));
    expect(error).not.toBeInstanceOf(DataError);
    expect(error.message).toContain(message);
  });
});

describe('what is wrong with the data is a data error', () => {
  test.each<[string, (spec: TrainingSpec) => TrainingSpec, string]>([
    [
      'a missing value where a tensor has no room for it',
      (spec) => ({ ...spec, features: [{ name: 'spent', dtype: 'int64', expression: 'spent::BIGINT' }] }),
      'features[0]: "spent" has no value in',
    ],
    [
      'a value outside its range',
      (spec) => ({ ...spec, features: [{ name: 'age', dtype: 'int64', range: { min: 20 } }] }),
      'features[0]: "age" is outside its range in',
    ],
    [
      'a value that a closed set lacks',
      (spec) => ({
        ...spec,
        features: [{ name: 'city', dtype: 'string', values: { set: 'closed', values: ['Bern'] } }],
      }),
      'features[0]: "city" holds "Basel", which its closed set lacks',
    ],
    [
      'no rows',
      (spec) => ({ ...spec, source: { ...spec.source, where: 'age > 100' } }),
      'no rows are left to train on',
    ],
    [
      'one class only',
      (spec) => ({ ...spec, target: { ...spec.target, expression: 'age > 0' } }),
      'split: the train part has',
    ],
  ])('%s', async (_name, change, message) => {
    const error = await refusal(change(customerSpec(customers)));
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toContain(message);
  });
});
