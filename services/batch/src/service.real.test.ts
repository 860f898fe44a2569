import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type BatchUnderTest, follow, logText, readResults, startBatch, temporaryFolder } from './batch-under-test.ts';
import { flightModel, flightRecords, type MadeModel, writeCsv } from './models-under-test.ts';

const opened = new AsyncDisposableStack();
let batch: BatchUnderTest;
let folder: string;
let flights: MadeModel;
let path: string;
let outputs = 0;

beforeAll(async () => {
  folder = await temporaryFolder(opened);
  flights = await flightModel(folder);
  path = await writeCsv(join(folder, 'rows.csv'), flightRecords(5000));
  batch = opened.use(await startBatch());
  batch.registry.add(flights);
});
afterAll(() => opened.disposeAsync());

const specOf = (more: object = {}) => ({
  model: 'flights',
  input: { path },
  output: { path: join(folder, `out-${outputs++}`) },
  shardRows: 1000,
  ...more,
});

test('a job scores a file with the version that the alias has, in a process of its own', async () => {
  const spec = specOf();
  const job = await batch.run(spec);
  expect(job.failure).toBeNull();
  expect(job).toMatchObject({
    kind: 'batch',
    state: 'succeeded',
    attempts: 1,
    version: { modelName: 'flights', version: 1, versionId: 'ver_1', digest: flights.digest },
    progress: { stage: 'done', percent: 100, metrics: { rows_in: 5000, rows_out: 5000, rows_failed: 0 } },
    result: { rowsIn: 5000, rowsOut: 5000, rowsFailed: 0, shards: 5, outputDir: spec.output.path, resultFiles: 5 },
  });
  const rows = await readResults(spec.output.path);
  expect(rows).toHaveLength(5000);
  expect(rows[0]).toMatchObject({ version_id: 'ver_1', digest: flights.digest });
  const log = await logText(batch.client, job.id);
  for (const stage of ['prepare', 'score', 'verify', 'done']) expect(log).toMatch(new RegExp(`Z ${stage}(:|$)`, 'm'));
  expect(log).not.toContain('Bearer');
});

test('relative paths start at the folder of the spec', async () => {
  const { id } = await batch.client.createJob({
    spec: { model: 'flights', input: { path: 'rows.csv' }, output: { path: 'relative/out' } },
    baseDir: folder,
  });
  expect(await follow(batch.client, id)).toMatchObject({ state: 'succeeded' });
  expect(await readdir(join(folder, 'relative/out'))).toContain('results-00000.parquet');
});

test('a job that is killed goes on with the version that it began with, wherever the alias is now', async () => {
  await using own = await startBatch();
  const first = own.registry.add(flights);
  const spec = { ...specOf(), input: { path: await writeCsv(join(folder, 'long.csv'), flightRecords(60_000)) } };
  const { id } = await own.client.createJob({ spec });
  let killed = 0;
  for await (const job of own.client.followJob(id)) {
    if (job.attempts !== 1 || (job.progress?.metrics?.rows_in ?? 0) < 1000 || killed > 0) continue;
    killed++;
    own.registry.add(await flightModel(folder, 2));
    own.registry.isAway = true;
    const text = await readFile(join(own.dataDir, 'batch', 'launches', `${id}.1`, 'process.json'), 'utf8');
    process.kill(JSON.parse(text).pid, 'SIGKILL');
  }
  expect(killed).toBe(1);
  const job = await own.client.getJob(id);
  expect(job).toMatchObject({ state: 'succeeded', attempts: 2, version: { versionId: first.id } });
  expect(job.result).toMatchObject({ rowsIn: 60_000, rowsOut: 60_000, versionId: first.id });
  expect(await logText(own.client, id)).toMatch(/goes on behind shard \d+/);
  const metrics = await (await fetch(`${own.url}/metrics`)).text();
  expect(metrics).toMatch(/^assay_batch_rows_total\{outcome="scored"\} 60000$/m);
});

describe('what cannot be done is a failure that says so', () => {
  test('of kind configuration: no such alias, version or model', async () => {
    for (const [more, message] of [
      [{ version: 'challenger' }, /spec\.version: the registry has no flights@challenger/],
      [{ version: 9 }, /spec\.version: the registry has no flights version 9/],
      [{ model: 'fligths' }, /the registry has no fligths@champion/],
    ] as const) {
      const job = await batch.run(specOf(more));
      expect(job).toMatchObject({ state: 'failed', failure: { kind: 'configuration', retryable: false } });
      expect(job.failure?.message).toMatch(message);
    }
  });

  test('of kind configuration: a missing file, a glob without files, a folder that cannot be written', async () => {
    for (const [more, message] of [
      [{ input: { path: join(folder, 'nothing.csv') } }, /nothing\.csv: there is no such file/],
      [{ input: { path: join(folder, 'nothing-*.csv') } }, /there is no such file/],
      [{ output: { path: join(path, 'out') } }, /output\.path: .* cannot be written/],
      [{ input: { path, select: { hour: 'huor' } } }, /input\.select\.hour: Binder Error/],
    ] as const) {
      const job = await batch.run(specOf(more));
      expect(job).toMatchObject({ state: 'failed', attempts: 1, failure: { kind: 'configuration', retryable: false } });
      expect(job.failure?.message).toMatch(message);
      expect(job.failure?.message).not.toContain('\n');
    }
  });

  test('of kind data: a quote left open, or too many errors', async () => {
    const open = join(folder, 'open.csv');
    await writeFile(open, `${await readFile(path, 'utf8')}1,2,0.5,"ATL,true\n`);
    const job = await batch.run(specOf({ input: { path: open } }));
    expect(job).toMatchObject({ state: 'failed', attempts: 1, failure: { kind: 'data', retryable: false } });
    expect(job.failure?.message).toContain(`${open}:5002: a quote is left open to the end of the file`);
    const wrong = await writeCsv(
      join(folder, 'wrong.csv'),
      flightRecords(100).map((record) => ({ ...record, hour: 99 })),
    );
    const failed = await batch.run(specOf({ input: { path: wrong }, maxErrors: 5 }));
    expect(failed.failure).toMatchObject({ kind: 'data', message: expect.stringContaining('more than 5 rows failed') });
  });

  test('at once, with each place, where it needs no look at the data', async () => {
    const relative = { model: 'flights', input: { path: 'a.csv' }, output: { path: 'b' } };
    await expect(batch.client.createJob({ spec: relative })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      details: [{ place: 'spec.input.path' }, { place: 'spec.output.path' }],
    });
    const unknown = { ...specOf(), modle: 'x' };
    await expect(batch.client.createJob({ spec: unknown })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('did you mean "model"?'),
    });
  });
});

test('a registry that is away is tried again', async () => {
  await using own = await startBatch();
  own.registry.add(flights);
  own.registry.isAway = true;
  const { id } = await own.client.createJob({ spec: specOf() });
  for await (const job of own.client.followJob(id)) if (job.failure !== null) own.registry.isAway = false;
  expect(await own.client.getJob(id)).toMatchObject({ state: 'succeeded', failure: null });
});

test('the same idempotency key gives the same job', async () => {
  const request = { spec: specOf(), idempotencyKey: 'nightly' };
  const first = await batch.client.createJob(request);
  expect((await batch.client.createJob(request)).id).toBe(first.id);
  expect((await follow(batch.client, first.id)).state).toBe('succeeded');
});

test('a job is cancelled while it scores', async () => {
  const large = await writeCsv(join(folder, 'large.csv'), flightRecords(200_000));
  const { id } = await batch.client.createJob({ spec: specOf({ input: { path: large } }) });
  for await (const job of batch.client.followJob(id)) {
    if ((job.progress?.metrics?.rows_in ?? 0) > 0) await batch.client.cancelJob(id);
  }
  expect(await batch.client.getJob(id)).toMatchObject({ state: 'cancelled', result: null, failure: null });
});

test('only the running attempt may report, by its token', async () => {
  const { id } = await batch.client.createJob({ spec: specOf() });
  const put = (authorization?: string) =>
    fetch(`${batch.url}/v1/jobs/${id}/progress`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json', ...(authorization === undefined ? {} : { authorization }) },
      body: JSON.stringify({ stage: 'score', percent: 50 }),
    });
  expect((await put()).status).toBe(401);
  expect((await put('Bearer guessed')).status).toBe(401);
  await follow(batch.client, id);
  expect((await put('Bearer guessed')).status).toBe(412);
});

test('metrics count jobs, rows and the time of each stage', async () => {
  await batch.run(specOf());
  const metrics = await (await fetch(`${batch.url}/metrics`)).text();
  expect(metrics).toMatch(/^assay_batch_jobs_total\{state="succeeded"\} [1-9]/m);
  expect(metrics).toMatch(/^assay_batch_rows_total\{outcome="scored"\} [1-9]\d{3}/m);
  expect(metrics).toMatch(/^assay_batch_stage_seconds_total\{stage="score"\} \d/m);
  expect(metrics).toMatch(/^assay_batch_job_duration_seconds_count\{state="succeeded"\} [1-9]/m);
  expect((await fetch(`${batch.url}/readyz`)).status).toBe(200);
  const page = await batch.client.listJobs({ limit: 2 });
  expect(page.items).toHaveLength(2);
});
