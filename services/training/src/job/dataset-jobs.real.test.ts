import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrainingSpec } from '@assay/contracts';
import { openPackage } from '@assay/model-package';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  customerSpec,
  startTraining,
  type TrainingUnderTest,
  temporaryFolder,
  writeCustomers,
} from '../training-under-test.ts';

const opened = new AsyncDisposableStack();
let training: TrainingUnderTest;
let folder: string;
let rows: string;

beforeAll(async () => {
  folder = await temporaryFolder(opened);
  training = opened.use(await startTraining());
  rows = await readFile(await writeCustomers(folder, 2000), 'utf8');
});
afterAll(() => opened.disposeAsync());

const onDataset = (dataset: string): TrainingSpec => ({ ...customerSpec('unused.csv'), source: { dataset } });

test('a job on a dataset fetches it through its own door, and names it in the job and in the lineage', async () => {
  const dataset = training.registry.putDataset('customers', { 'all.csv': rows });
  const job = await training.run(onDataset('customers'));
  expect(job.failure).toBeNull();
  const { id, datasetName, version, digest } = dataset;
  expect(job).toMatchObject({ state: 'succeeded', dataset: { id, datasetName, version, digest } });

  const registered = training.registry.versions.find((one) => one.id === job.result?.versionId);
  if (registered === undefined) throw new Error('the job names a version that the registry does not have');
  const dir = join(folder, 'package');
  await training.registry.writePackage(registered, dir);
  const { lineage } = (await openPackage(dir)).manifest;
  expect(lineage.dataset).toEqual({ id, name: datasetName, version, digest });
  expect(lineage.datasetSha256s).toEqual(dataset.files.map(({ sha256 }) => sha256));

  let log = '';
  await training.client.logs(job.id, (text) => {
    log += text;
  });
  expect(log).toContain(`fetch: dataset customers version 1, digest ${digest}: 1 file`);
});

test('a dataset that there is not fails the job with the place in the spec', async () => {
  const job = await training.run(onDataset('custmers'));
  expect(job).toMatchObject({ state: 'failed', dataset: null });
  expect(job.failure?.message).toContain('spec.source.dataset: the registry has no dataset custmers');
});

test('a source with both a path and a dataset is refused when the job is created', async () => {
  const response = await fetch(`${training.url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ spec: { ...onDataset('customers'), source: { dataset: 'customers', path: '/x.csv' } } }),
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    error: { details: [{ place: 'spec.source', message: 'has path and dataset, which exclude each other' }] },
  });
});
