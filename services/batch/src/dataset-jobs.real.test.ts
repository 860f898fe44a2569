import { readdirSync, readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { BatchJob, BatchSpec, DatasetVersion } from '@assay/contracts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BatchUnderTest, logText, runJob, startBatch, temporaryFolder } from './batch-under-test.ts';
import { flightModel, flightRecords, type MadeModel, writeCsv } from './models-under-test.ts';

const ROWS = 40_000;
const SHARD_ROWS = 2000;
const KILLS = 4;

const opened = new AsyncDisposableStack();
let folder: string;
let model: MadeModel;
let path: string;
let batch: BatchUnderTest;
let input: DatasetVersion;

beforeAll(async () => {
  folder = await temporaryFolder(opened);
  model = await flightModel(folder);
  const records = flightRecords(ROWS).map((record, i) => (i % 97 === 5 ? { ...record, hour: 70 + (i % 7) } : record));
  path = await writeCsv(join(folder, 'rows.csv'), records);
  batch = opened.use(await startBatch({ maxAttempts: KILLS + 2 }));
  batch.registry.add(model);
  batch.registry.addDataset('flights', { name: 'rows.csv', bytes: await readFile(path) });
  input = batch.registry.addDataset('flights', { name: 'rows.csv', bytes: await readFile(path) });
}, 60_000);
afterAll(() => opened.disposeAsync());

function specOf(dataset: string): BatchSpec {
  return {
    model: 'flights',
    input: { dataset: 'flights', select: { distance: 'distance * 1.5' } },
    output: { dataset, columns: ['origin', 'distance'] },
    shardRows: SHARD_ROWS,
  };
}

/** What the same job writes into a folder, by file name. */
async function filesInFolder(job: BatchJob): Promise<Record<string, Uint8Array>> {
  const { output, ...spec } = specOf('unused');
  const dir = join(folder, `as-files-${job.id}`);
  const { columns } = output;
  const options = { jobId: job.id };
  const folderSpec = {
    ...spec,
    input: { path, select: { distance: 'distance * 1.5' } },
    output: { path: dir, ...(columns === undefined ? {} : { columns }) },
  };
  await runJob(model, folderSpec, options);
  const names = (await readdir(dir)).filter((name) => name !== 'manifest.json').sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(dir, name))])));
}

/** Every result is to the byte what a folder would hold; errors are too, but for what the file is called. */
async function expectSameFiles(job: BatchJob): Promise<void> {
  const expected = await filesInFolder(job);
  const [results, ...others] = batch.registry.datasetVersions(job.result?.dataset?.datasetName ?? '');
  const [errors, ...moreErrors] = batch.registry.datasetVersions(job.result?.errorsDataset?.datasetName ?? '');
  expect([...others, ...moreErrors]).toEqual([]);
  const files = [...(results?.files ?? []), ...(errors?.files ?? [])];
  expect(files.map(({ name }) => name).sort()).toEqual(Object.keys(expected));
  for (const { name, sha256 } of files) {
    const [actual, wanted] = [Buffer.from(batch.registry.blob(sha256) ?? []), Buffer.from(expected[name] ?? [])];
    if (name.startsWith('results')) expect(actual.equals(wanted), name).toBe(true);
    else expect(actual.toString().replaceAll('"rows.csv"', JSON.stringify(path))).toBe(wanted.toString());
  }
}

test('a job that names datasets reads the newest version and registers its results as the next', async () => {
  const job = await batch.run(specOf('scored'));
  expect(job).toMatchObject({ state: 'succeeded', dataset: { id: input.id, version: 2 } });
  const failed = Math.ceil((ROWS - 5) / 97);
  expect(job.result).toMatchObject({ rowsIn: ROWS, rowsOut: ROWS - failed, rowsFailed: failed });
  expect(job.result?.outputDir).toBeUndefined();
  const [results] = batch.registry.datasetVersions('scored');
  expect(results).toMatchObject({
    id: job.result?.dataset?.id,
    format: 'parquet',
    rows: ROWS - failed,
    layer: 'processed',
    parents: [input.id],
  });
  expect(results?.source).toContain(job.id);
  expect(results?.source).toContain(model.digest);
  expect(results?.schema).toEqual([
    { name: 'prediction_id', type: 'VARCHAR', nullable: false },
    { name: 'version_id', type: 'VARCHAR', nullable: false },
    { name: 'digest', type: 'VARCHAR', nullable: false },
    { name: 'row', type: 'BIGINT', nullable: false },
    { name: 'label', type: 'BIGINT', nullable: false },
    { name: 'probabilities_on_time', type: 'FLOAT', nullable: false },
    { name: 'probabilities_late', type: 'FLOAT', nullable: false },
    { name: 'origin', type: 'VARCHAR', nullable: true },
    { name: 'distance', type: 'VARCHAR', nullable: true },
  ]);
  const [errors] = batch.registry.datasetVersions('scored-errors');
  expect(errors).toMatchObject({ format: 'ndjson', rows: failed, parents: [input.id] });
  await expectSameFiles(job);
}, 60_000);

/** The process of the running attempt, once it has finished so many shards in all. */
async function processAfter(id: string, shards: number): Promise<number | undefined> {
  for (;;) {
    const job = await batch.client.getJob(id);
    if (job.state === 'succeeded' || job.state === 'failed') return undefined;
    const done = (job.progress?.metrics?.rows_in ?? 0) / SHARD_ROWS;
    if (job.state === 'running' && done >= shards) {
      const launches = join(batch.dataDir, 'batch', 'launches');
      const names = readdirSync(launches).filter((name) => name === `${id}.${job.attempts}`);
      const pids = names.map((name): { pid: number } =>
        JSON.parse(readFileSync(join(launches, name, 'process.json'), 'utf8')),
      );
      return pids[0]?.pid;
    }
    await delay(5);
  }
}

test(`a job that is killed again and again goes on behind its last shard, and registers one version`, async () => {
  const { id } = await batch.client.createJob({ spec: specOf('killed') });
  let kills = 0;
  for (let shards = 2; kills < KILLS; shards += 3) {
    const pid = await processAfter(id, shards);
    if (pid === undefined) break;
    process.kill(pid, 'SIGKILL');
    kills++;
    // The next attempt has begun when the killed one is no longer what runs.
    while ((await batch.client.getJob(id)).attempts <= kills - 1) await delay(5);
    for (let job = await batch.client.getJob(id); job.attempts === kills && job.state === 'running'; ) {
      job = await batch.client.getJob(id, { after: job.revision, waitMs: 1000 });
    }
  }
  let job = await batch.client.getJob(id);
  for await (job of batch.client.followJob(id));
  expect(job.state).toBe('succeeded');
  expect(kills).toBe(KILLS);
  expect(job.attempts).toBe(KILLS + 1);
  expect((await logText(batch.client, id)).match(/goes on behind shard \d+/g)?.length).toBeGreaterThanOrEqual(2);
  expect(batch.registry.datasetVersions('killed')).toHaveLength(1);
  expect(batch.registry.datasetVersions('killed-errors')).toHaveLength(1);
  await expectSameFiles(job);
}, 120_000);

test('a dataset that is not there fails the job with its name', async () => {
  const job = await batch.run({ ...specOf('never'), input: { dataset: 'flihgts' } });
  expect(job).toMatchObject({ state: 'failed', failure: { kind: 'configuration' } });
  expect(job.failure?.message).toContain('spec.input.dataset: the registry has no dataset flihgts');
  expect(batch.registry.datasetVersions('never')).toEqual([]);
});
