import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openBlobStore } from '@assay/blobs';
import { type S3Server, startS3 } from '@assay/blobs/testing';
import { startAzure } from '@assay/blobs/testing/azure';
import { afterEach, expect, test, vi } from 'vitest';
import { serveStatic, temporaryFolder } from './inference-under-test.ts';
import { type MadeModel, versionModel } from './models-under-test.ts';
import { createStaticModels } from './routing/static-source.ts';

afterEach(() => vi.unstubAllEnvs());

async function startBucket(dir: string): Promise<S3Server> {
  const server = await startS3(join(dir, 's3'), 'models');
  for (const [name, value] of Object.entries(server.credentials)) vi.stubEnv(name, value);
  return server;
}

/** The files of a package as objects under `key`. */
async function upload(storeUrl: string, key: string, model: MadeModel): Promise<void> {
  const store = await openBlobStore(storeUrl);
  for (const { path } of model.files) await store.put(`${key}/${path}`, chunks(await readFile(join(model.dir, path))));
}

async function* chunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function answerOf(dir: string, path: string): Promise<unknown> {
  await using inference = await serveStatic(dir, [{ name: 'm', path }]);
  const { body } = await inference.post('/v1/endpoints/m/score', { records: [{ x: 1 }] });
  return body.predictions[0].outputs.version;
}

async function refusal(dir: string, path: string): Promise<string> {
  return createStaticModels([{ name: 'm', path }], { workDir: join(dir, 'made') }).then(
    () => 'taken',
    (error: unknown) => String(error),
  );
}

test('a file, a package and a folder of versions are served by URL from disk and from S3', async () => {
  await using folder = await temporaryFolder();
  const dir = folder.path;
  await using server = await startBucket(dir);
  const [one, two] = [await versionModel(dir, 1), await versionModel(dir, 2)];
  const parameters = `?endpoint=${server.endpoint}`;
  await upload(`s3://models${parameters}`, 'team/one', one);
  await upload(`s3://models${parameters}`, 'team/flights/1', one);
  await upload(`s3://models${parameters}`, 'team/flights/2', two);
  const onnx = createHash('sha256')
    .update(await readFile(join(one.dir, 'model.onnx')))
    .digest('hex');
  for (const [url, version] of [
    [pathToFileURL(join(two.dir, 'model.onnx')).href, 2],
    [`${pathToFileURL(one.dir).href}#sha256=${one.digest}`, 1],
    [`s3://models/team/one/model.onnx${parameters}`, 1],
    [`s3://models/team/one/model.onnx${parameters}#sha256=${onnx}`, 1],
    [`s3://models/team/one${parameters}#sha256=${one.digest}`, 1],
    [`s3://models/team/flights/${parameters}`, 2],
  ] as const) {
    expect([url, await answerOf(dir, url)]).toEqual([url, version]);
  }
});

test('a package is served by URL from Azure Blob Storage', async () => {
  await using folder = await temporaryFolder();
  await using server = await startAzure('models');
  vi.stubEnv('AZURE_STORAGE_CONNECTION_STRING', server.connectionString);
  await upload('az://models', 'team/one', await versionModel(folder.path, 1));
  expect(await answerOf(folder.path, 'az://models/team/one')).toBe(1);
  expect(await refusal(folder.path, 'az://models/none')).toMatch(/there is no such object/);
});

test('a store that fails is asked again, and what it cannot give is said in plain words', async () => {
  await using folder = await temporaryFolder();
  const dir = folder.path;
  await using server = await startBucket(dir);
  const one = await versionModel(dir, 1);
  const parameters = `?endpoint=${server.endpoint}`;
  await upload(`s3://models${parameters}`, 'one', one);
  const store = await openBlobStore(`s3://models${parameters}`);
  await store.put('junk.onnx', chunks(Buffer.from('this is no protobuf')));
  const url = `s3://models/one/model.onnx${parameters}`;

  let failures = 0;
  server.interfere = ({ method }) => (method === 'GET' && failures++ < 1 ? 'cut' : undefined);
  expect(await answerOf(dir, url)).toBe(1);
  server.interfere = () => undefined;

  expect(await refusal(dir, `s3://models/none${parameters}`)).toMatch(/s3:\/\/models\/none: there is no such object/);
  expect(await refusal(dir, `s3://other/one${parameters}`)).toMatch(/there is no such bucket/);
  expect(await refusal(dir, `s3://models/junk.onnx${parameters}`)).toMatch(
    /cannot serve "m" from s3:\/\/models\/junk.onnx: /,
  );
  expect(await refusal(dir, `${url}#sha256=${'0'.repeat(64)}`)).toMatch(/has the sha256 [0-9a-f]{64}, and not 0000/);
  expect(await refusal(dir, `${url}#md5=1`)).toMatch(/"#md5=1" is no digest/);
  expect(await refusal(dir, 'https://models.example/one.onnx')).toMatch(/is no URL of a model; expected file:/);
  expect(await refusal(dir, `s3://models${parameters}`)).toMatch(/names no object/);
  expect(await refusal(dir, `s3://models/a/%2e%2e%2fb${parameters}`)).toMatch(/is no blob key/);
  expect(await refusal(dir, `${pathToFileURL(dir).href}/none.onnx`)).toMatch(/there is no file or folder/);
  server.interfere = () => 403;
  expect(await refusal(dir, url)).toMatch(/the credentials were refused/);
});
