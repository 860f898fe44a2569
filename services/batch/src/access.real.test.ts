import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createBatchClient } from '@assay/client';
import type { KeySnapshot } from '@assay/contracts';
import { formatKeyText, newSecret, secretSha256 } from '@assay/http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BatchUnderTest, follow, startBatch, temporaryFolder } from './batch-under-test.ts';
import { flightModel, flightRecords, writeCsv } from './models-under-test.ts';

function makeKey(id: string, scopes: string[], endpoints?: string[]) {
  const secret = newSecret();
  const principal = { principalId: `prn_${id}`, principalName: id, principalKind: 'service' as const };
  const limits = endpoints === undefined ? {} : { endpoints };
  const entry: KeySnapshot['keys'][number] = {
    id,
    secretSha256: secretSha256(secret),
    ...principal,
    scopes,
    ...limits,
  };
  return { text: formatKeyText({ id, secret }), entry };
}

const own = makeKey('key_batch', ['read']);
const scorer = makeKey('key_scorer', ['score']);
const limited = makeKey('key_limited', ['score'], ['other']);
const reader = makeKey('key_reader', ['read']);

const opened = new AsyncDisposableStack();
let folder: string;
let batch: BatchUnderTest;

beforeAll(async () => {
  folder = await temporaryFolder(opened);
  const all = [own, scorer, limited, reader].map(({ entry }) => entry);
  batch = opened.use(await startBatch({ filesDir: folder }, { own: own.text, all }));
  batch.registry.add(await flightModel(folder));
});
afterAll(() => opened.disposeAsync());

const as = (bearerToken?: string) =>
  createBatchClient({ url: batch.url, ...(bearerToken === undefined ? {} : { bearerToken }) });
const spec = () => ({
  model: 'flights',
  input: { path: join(folder, 'rows.csv') },
  output: { path: join(folder, 'out') },
});

test('a job needs a key that may score, and one that is not limited to other endpoints', async () => {
  await expect(as().createJob({ spec: spec() })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  await expect(as(reader.text).createJob({ spec: spec() })).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
  await expect(as(limited.text).createJob({ spec: spec() })).rejects.toMatchObject({
    code: 'PERMISSION_DENIED',
    message: 'spec.model: key key_limited of key_limited may not score "flights"',
  });
  expect((await as(reader.text).listJobs()).items).toEqual([]);
});

test('a job reads and writes under the folder for files only', async () => {
  const outside = {
    ...spec(),
    input: { path: `${folder}/../elsewhere.csv` },
    output: { path: '/tmp/assay-elsewhere' },
  };
  await expect(as(scorer.text).createJob({ spec: outside })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    details: [{ place: 'spec.input.path' }, { place: 'spec.output.path' }],
  });
});

test('a job runs without a key: the service shows its own to the registry, and the job none', async () => {
  await writeCsv(join(folder, 'rows.csv'), flightRecords(100));
  const client = as(scorer.text);
  const { id } = await client.createJob({ spec: spec() });
  expect(await follow(client, id)).toMatchObject({ state: 'succeeded', result: { rowsOut: 100 } });
  expect(new Set(batch.registry.authorizations)).toEqual(new Set([`Bearer ${own.text}`]));
  const launch = join(batch.dataDir, 'batch', 'launches', `${id}.1`);
  const written = `${await readFile(join(launch, 'spec.json'), 'utf8')}${await readFile(join(launch, 'log'), 'utf8')}`;
  expect(written).toContain(id);
  expect(written).not.toContain(own.text);
  expect(written).not.toContain('Bearer');
});

test('the door to the registry opens for the token of a running job only, and for its version only', async () => {
  const door = (id: string, path: string, token: string) =>
    fetch(`${batch.url}/v1/jobs/${id}/registry${path}`, { headers: { authorization: `Bearer ${token}` } });
  const { items } = await as(reader.text).listJobs();
  const [job] = items;
  if (job === undefined) throw new Error('there is no job');
  expect((await door(job.id, '/v1/versions/ver_1', scorer.text)).status).toBe(412);
  expect((await door('job_none', '/v1/versions/ver_1', 'guessed')).status).toBe(404);
});
