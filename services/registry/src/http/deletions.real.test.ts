import type { AuditEntry, Dataset, DatasetVersion, Model, Page, Version } from '@assay/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  makePackage,
  type PackageOptions,
  type RegistryUnderTest,
  sha256Of,
  startRegistry,
} from '../registry-under-test.ts';

let registry: RegistryUnderTest;
beforeAll(async () => {
  registry = await startRegistry({ deps: { checkPackage: async () => {} } });
});
afterAll(() => registry[Symbol.asyncDispose]());

const get = <T>(path: string) => registry.call<T>('GET', path);
const remove = (path: string) => registry.fails('DELETE', path);
const restore = <T>(path: string) => registry.call<T>('POST', `${path}/restore`);
const statusOf = async (path: string): Promise<number> => (await get(path)).status;

let made = 0;
async function addVersion(model: string, options: PackageOptions = {}): Promise<Version> {
  await registry.call('POST', '/v1/models', { name: model });
  made += 1;
  const answer = await registry.register(model, await makePackage({ adds: made, ...options }), {
    tags: { n: `${made}` },
  });
  expect(answer.status).toBe(201);
  return answer.body;
}
async function addDataset(name: string, more: Record<string, unknown> = {}): Promise<DatasetVersion> {
  made += 1;
  const bytes = Buffer.from(`a\n${made}\n`);
  await registry.put(bytes);
  const answer = await registry.call<DatasetVersion>('POST', `/v1/datasets/${name}/versions`, {
    format: 'csv',
    files: [{ name: 'a.csv', sha256: sha256Of(bytes), sizeBytes: bytes.length }],
    rows: 1,
    schema: [{ name: 'a', type: 'BIGINT', nullable: false }],
    changes: `${made}`,
    ...more,
  });
  expect(answer.status).toBe(201);
  return answer.body;
}
const actionsOn = async (resource: string): Promise<string[]> => {
  const { body } = await get<Page<AuditEntry>>(`/v1/audit?resource=${resource}`);
  return body.items.map(({ action }) => action);
};
const revisionOf = async (model: string): Promise<number> => (await get<Model>(`/v1/models/${model}`)).body.revision;

describe('a deleted version', () => {
  it('is gone from every list and door, is listed where it is asked for, and comes back as it was', async () => {
    const version = await addVersion('plain');
    await addVersion('plain');
    expect((await remove('/v1/models/plain/versions/1')).status).toBe(204);
    expect((await remove('/v1/models/plain/versions/1')).status).toBe(404);
    for (const path of [
      '/v1/models/plain/versions/1',
      `/v1/versions/${version.id}`,
      `/v1/versions/${version.id}/files/MLmodel`,
    ])
      expect(await statusOf(path), path).toBe(404);
    const listed = (await get<Page<Version>>('/v1/models/plain/versions')).body.items;
    expect(listed.map((one) => one.version)).toEqual([2]);
    const mlflow = await registry.call<{ error_code: string }>(
      'GET',
      '/api/2.0/mlflow/model-versions/get?name=plain&version=1',
    );
    expect(mlflow.body.error_code).toBe('RESOURCE_DOES_NOT_EXIST');
    const move = { version: 1, expectedRevision: 0 };
    expect((await registry.fails('PUT', '/v1/models/plain/aliases/a', move)).status).toBe(404);
    const deleted = (await get<Page<Version>>('/v1/models/plain/versions?deleted=true')).body.items;
    expect(deleted).toEqual([{ ...version, deletedAt: expect.any(Number) }]);

    expect((await restore<Version>('/v1/models/plain/versions/1')).body).toEqual(version);
    expect((await get<Version>('/v1/models/plain/versions/1')).body).toEqual(version);
    expect((await get<Page<Version>>('/v1/models/plain/versions?deleted=true')).body.items).toEqual([]);
    expect((await restore('/v1/models/plain/versions/1')).status).toBe(404);
    const found = await registry.call<{ model_versions: unknown[] }>(
      'GET',
      `/api/2.0/mlflow/model-versions/search?filter=${encodeURIComponent(`tags.n = '${version.tags.n}'`)}`,
    );
    expect(found.body.model_versions).toHaveLength(1);
    expect(await actionsOn(`version/${version.id}`)).toEqual(['version.register', 'version.delete', 'version.restore']);
  });

  it('leaves its number to nobody, and its idempotency key', async () => {
    const one = await makePackage({ adds: 1001 });
    await registry.call('POST', '/v1/models', { name: 'numbers' });
    await registry.register('numbers', one, { idempotencyKey: 'k' });
    await remove('/v1/models/numbers/versions/1');
    expect((await addVersion('numbers')).version).toBe(2);
    const again = await registry.register('numbers', one, { idempotencyKey: 'k' });
    expect(again).toMatchObject({ status: 409, body: { error: { code: 'ALREADY_EXISTS' } } });
  });

  it('is refused with everybody who needs it', async () => {
    const parent = await addVersion('needed');
    const child = await addVersion('child', { lineage: { parents: [parent.digest] } });
    await registry.call('PUT', '/v1/models/needed/aliases/champion', { version: 1, expectedRevision: 0 });
    const refused = await remove('/v1/models/needed/versions/1');
    expect([refused.status, refused.body.error.code]).toEqual([412, 'FAILED_PRECONDITION']);
    expect(refused.body.error.details.map(({ place }) => place)).toEqual([
      'endpoint needed',
      'alias champion',
      'version 1 of child',
    ]);
    const model = await remove(`/v1/models/needed?expectedRevision=${await revisionOf('needed')}`);
    expect(model.body.error.details.map(({ place }) => place)).toEqual(['endpoint needed', 'version 1 of child']);
    expect(await statusOf('/v1/models/needed/versions/1')).toBe(200);

    await registry.call('DELETE', '/v1/endpoints/needed?expectedRevision=1');
    await registry.call('DELETE', '/v1/models/needed/aliases/champion?expectedRevision=1');
    await remove(`/v1/models/child/versions/${child.version}`);
    expect((await remove('/v1/models/needed/versions/1')).status).toBe(204);
  });

  it('is refused while an endpoint compares it as a shadow', async () => {
    await addVersion('shadowed');
    const shadow = await addVersion('shadowed');
    await registry.call('PUT', '/v1/models/shadowed/aliases/champion', { version: 1, expectedRevision: 0 });
    const put = (shadows: unknown[], expectedRevision: number) =>
      registry.call('PUT', '/v1/endpoints/shadowed', { shadows, expectedRevision });
    expect((await put([{ versionId: shadow.id, ratio: 1 }], 1)).status).toBe(200);
    const refused = await remove('/v1/models/shadowed/versions/2');
    expect(refused.body.error.details).toEqual([
      { place: 'endpoint shadowed', message: 'has version 2 as a shadow; take it from there first' },
    ]);
    expect((await put([], 2)).status).toBe(200);
    expect((await remove('/v1/models/shadowed/versions/2')).status).toBe(204);
  });
});

describe('a deleted model', () => {
  it('gives its name away, and comes back with the versions that went with it when the name is free', async () => {
    const [first, second] = [await addVersion('gone'), await addVersion('gone')];
    await remove(`/v1/models/gone/versions/${first.version}`);
    const before = (await get<Model>('/v1/models/gone')).body;
    expect((await remove(`/v1/models/gone?expectedRevision=${before.revision - 1}`)).body.error.code).toBe(
      'STALE_REVISION',
    );
    expect((await remove(`/v1/models/gone?expectedRevision=${before.revision}`)).status).toBe(204);
    for (const path of ['/v1/models/gone', `/v1/models/${before.id}`, `/v1/versions/${second.id}`])
      expect(await statusOf(path), path).toBe(404);
    const { items } = (await get<Page<Model>>('/v1/models?deleted=true')).body;
    expect(items).toMatchObject([{ id: before.id, name: 'gone', deletedAt: expect.any(Number) }]);
    const versions = (await get<Page<Version>>('/v1/models/gone/versions?deleted=true')).body.items;
    expect(versions).toMatchObject([
      { version: 2, modelName: 'gone' },
      { version: 1, modelName: 'gone' },
    ]);

    const other = (await registry.call<Model>('POST', '/v1/models', { name: 'gone' })).body;
    expect((await restore(`/v1/models/${before.id}`)).status).toBe(409);
    await remove(`/v1/models/${other.id}?expectedRevision=1`);
    const restored = (await restore<Model>(`/v1/models/${before.id}`)).body;
    expect(restored).toMatchObject({ id: before.id, name: 'gone', latestVersion: 2 });
    const back = (await get<Page<Version>>('/v1/models/gone/versions')).body.items;
    expect(back.map(({ version }) => version)).toEqual([2]);
    expect((await addVersion('gone')).version).toBe(3);
  });
});

describe('a deleted dataset version', () => {
  it('leaves the one before it as the newest, and comes back', async () => {
    const [first, second] = [await addDataset('table'), await addDataset('table')];
    expect((await remove('/v1/datasets/table/versions/2')).status).toBe(204);
    for (const path of [
      '/v1/datasets/table/versions/2',
      `/v1/dataset-versions/${second.id}`,
      '/v1/datasets/table/versions/2/files/a.csv',
    ])
      expect(await statusOf(path), path).toBe(404);
    expect((await get<Dataset>('/v1/datasets/table')).body).toMatchObject({
      latestVersion: 1,
      latest: { id: first.id },
    });
    expect((await get<DatasetVersion>('/v1/datasets/table/versions/latest')).body.id).toBe(first.id);
    const deleted = (await get<Page<DatasetVersion>>('/v1/datasets/table/versions?deleted=true')).body.items;
    expect(deleted).toMatchObject([{ id: second.id, deletedAt: expect.any(Number) }]);
    const only = await remove('/v1/datasets/table/versions/1');
    expect(only.body.error.message).toContain('the only one');
    expect(await statusOf('/v1/datasets/table/versions/1')).toBe(200);

    expect((await addDataset('table')).version).toBe(3);
    expect((await restore<DatasetVersion>('/v1/datasets/table/versions/2')).body).toEqual(second);
    expect((await get<Dataset>('/v1/datasets/table')).body.latestVersion).toBe(3);
    expect(await actionsOn(`dataset-version/${second.id}`)).toEqual([
      'dataset-version.register',
      'dataset-version.delete',
      'dataset-version.restore',
    ]);
  });

  it('is refused while a version of a model or of a dataset was made from it', async () => {
    const raw = await addDataset('raw');
    await addDataset('cleaned', { parents: [raw.id] });
    await addVersion('fed', { lineage: { datasetSha256s: raw.files.map(({ sha256 }) => sha256) } });
    const refused = await remove('/v1/datasets/raw');
    expect(refused.status).toBe(412);
    expect(refused.body.error.details.map(({ place }) => place)).toEqual([
      'version 1 of dataset cleaned',
      'version 1 of fed',
    ]);
    await remove('/v1/datasets/cleaned');
    await remove('/v1/models/fed/versions/1');
    expect((await remove('/v1/datasets/raw')).status).toBe(204);
    const late = await registry.fails('POST', '/v1/datasets/late/versions', {
      ...{ format: 'csv', files: raw.files, rows: 1, schema: raw.schema, parents: [raw.id] },
    });
    expect(late.body.error.message).toContain(`there is no dataset version "${raw.id}"`);
  });
});

describe('a deleted dataset', () => {
  it('keeps its name and its numbers, and comes back with what went with it', async () => {
    const first = await addDataset('kept');
    await addDataset('kept');
    await remove('/v1/datasets/kept/versions/1');
    expect((await remove('/v1/datasets/kept')).status).toBe(204);
    expect(await statusOf('/v1/datasets/kept')).toBe(404);
    expect((await get<Page<Dataset>>('/v1/datasets?deleted=true')).body.items.map(({ name }) => name)).toContain(
      'kept',
    );
    expect((await restore<Dataset>('/v1/datasets/kept')).body).toMatchObject({ latestVersion: 2 });
    expect((await get<Page<DatasetVersion>>('/v1/datasets/kept/versions')).body.items).toHaveLength(1);

    await remove('/v1/datasets/kept');
    expect((await addDataset('kept')).version).toBe(3);
    expect((await restore<DatasetVersion>('/v1/datasets/kept/versions/1')).body.id).toBe(first.id);
    expect((await get<Dataset>('/v1/datasets/kept')).body.latestVersion).toBe(3);
  });
});

describe('what MLflow deletes', () => {
  it('is in the audit trail: runs and experiments, and their way back', async () => {
    const api = <T>(path: string, body: unknown) => registry.call<T>('POST', `/api/2.0/mlflow/${path}`, body);
    const { body } = await api<{ experiment_id: string }>('experiments/create', { name: 'e' });
    const id = body.experiment_id;
    const run = await api<{ run: { info: { run_id: string } } }>('runs/create', { experiment_id: id });
    const runId = run.body.run.info.run_id;
    await api('runs/delete', { run_id: runId });
    await api('experiments/delete', { experiment_id: id });
    await api('experiments/restore', { experiment_id: id });
    const get = await registry.call<{ run: { info: { lifecycle_stage: string } } }>(
      'GET',
      `/api/2.0/mlflow/runs/get?run_id=${runId}`,
    );
    expect(get.body.run.info.lifecycle_stage).toBe('deleted');
    await api('runs/restore', { run_id: runId });
    expect(await actionsOn(`run/${runId}`)).toEqual(['run.delete', 'run.restore']);
    expect(await actionsOn(`experiment/${id}`)).toEqual(['experiment.delete', 'experiment.restore']);
  });
});
