import { join } from 'node:path';
import { type BlobStore, openBlobStore } from '@assay/blobs';
import type { AuditEntry, AuditVerification, Collection, DatasetVersion, Model, Page, Version } from '@assay/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { makePackage, type RegistryUnderTest, sha256Of, startRegistry } from '../registry-under-test.ts';

const noCheck = { checkPackage: async () => {} };
/** Everything that nobody needs goes at once. */
const AT_ONCE = { deletedRetentionMs: 1, unusedBlobGraceMs: 1 };

let registry: RegistryUnderTest;
let blobs: BlobStore;
async function start(flags: Record<string, unknown> = AT_ONCE): Promise<void> {
  registry = await startRegistry({ deps: noCheck, flags });
  blobs = await openBlobStore(`file:${join(registry.dir, 'registry', 'blobs')}`);
}

const collect = async (remove = true): Promise<Collection> => {
  const { status, body } = await registry.call<Collection>('POST', '/v1/collect', { delete: remove });
  expect(status).toBe(200);
  return body;
};
const keyOf = (sha256: string): string => `sha256/${sha256.slice(0, 2)}/${sha256}`;
const isThere = async (sha256: string): Promise<boolean> => (await blobs.head(keyOf(sha256))) !== undefined;

async function addModel(name: string, ...adds: number[]): Promise<Version[]> {
  await registry.call('POST', '/v1/models', { name });
  const versions: Version[] = [];
  for (const each of adds)
    versions.push((await registry.register(name, await makePackage({ adds: each, feature: `of_${name}` }))).body);
  return versions;
}
async function addDataset(name: string, text: string): Promise<DatasetVersion> {
  const bytes = Buffer.from(text);
  await registry.put(bytes);
  const { body } = await registry.call<DatasetVersion>('POST', `/v1/datasets/${name}/versions`, {
    format: 'csv',
    files: [{ name: 'a.csv', sha256: sha256Of(bytes), sizeBytes: bytes.length }],
    rows: 1,
    schema: [{ name: 'a', type: 'BIGINT', nullable: false }],
    changes: text,
  });
  return body;
}
const filesOf = (...versions: readonly Version[]) => versions.flatMap(({ files }) => files.map(({ sha256 }) => sha256));
const expectVerified = async (): Promise<void> => {
  expect((await registry.call<AuditVerification>('GET', '/v1/audit/verify')).body.valid).toBe(true);
};

describe('a collection', () => {
  beforeAll(() => start());
  afterAll(() => registry[Symbol.asyncDispose]());

  it('removes what was put and never registered, and nothing that a version or a dataset names', async () => {
    const versions = await addModel('m', 1, 2);
    const table = await addDataset('d', 'a\n1\n');
    const unused = Buffer.from('never registered');
    await registry.put(unused);
    const report = await collect();
    expect(report).toMatchObject({ deleted: true, rowCount: 0, blobs: { count: 1, sizeBytes: unused.length } });
    expect(report.blobItems).toMatchObject([{ key: keyOf(sha256Of(unused)) }]);
    expect(await isThere(sha256Of(unused))).toBe(false);
    for (const sha256 of [...filesOf(...versions), ...table.files.map((file) => file.sha256)])
      expect(await isThere(sha256)).toBe(true);
    expect((await collect()).blobs).toEqual({ count: 0, sizeBytes: 0 });
  });

  it('changes nothing unless it is told to, and lists then what goes', async () => {
    await addModel('planned', 1);
    await registry.put(Buffer.from('never registered'));
    await registry.call('DELETE', '/v1/models/planned/versions/1');
    const [plan, again] = [await collect(false), await collect(false)];
    expect(plan).toMatchObject({ deleted: false, rowCount: 1, blobs: { count: 4 } });
    expect(again).toEqual({ ...plan, startedAt: again.startedAt });
    const done = await collect();
    expect(done).toMatchObject({ deleted: true, rowCount: 1, rows: plan.rows, blobs: plan.blobs });
    expect(done.blobItems).toEqual(plan.blobItems);
  });

  it('removes a deleted version for good, its files unless another has them, and never gives its number again', async () => {
    const shared = await makePackage({ adds: 1, feature: 'of_shared' });
    await addModel('shared', 1, 2);
    await registry.call('POST', '/v1/models', { name: 'other' });
    const kept = (await registry.register('other', shared)).body;
    const [, second] = (
      await registry.call<Page<Version>>('GET', '/v1/models/shared/versions')
    ).body.items.toReversed();
    for (const number of [1, 2])
      expect((await registry.call('DELETE', `/v1/models/shared/versions/${number}`)).status).toBe(204);
    const report = await collect();
    expect(report.rows).toMatchObject([
      { kind: 'version', name: 'shared 1' },
      { kind: 'version', name: 'shared 2' },
    ]);
    for (const sha256 of filesOf(kept)) expect(await isThere(sha256)).toBe(true);
    const onlyOfSecond = filesOf(second as Version).filter((sha256) => !filesOf(kept).includes(sha256)); // it was registered above
    expect(onlyOfSecond.length).toBeGreaterThan(0);
    for (const sha256 of onlyOfSecond) expect(await isThere(sha256)).toBe(false);
    expect((await registry.fails('POST', '/v1/models/shared/versions/2/restore')).status).toBe(404);
    expect((await registry.register('shared', await makePackage({ adds: 3 }))).body.version).toBe(3);
    const purged = await registry.call<Page<AuditEntry>>('GET', `/v1/audit?resource=version/${second?.id}`);
    expect(purged.body.items.map(({ action }) => action)).toEqual([
      'version.register',
      'version.delete',
      'version.purge',
    ]);
    await expectVerified();
  });

  it('removes a deleted model and a deleted dataset with all their versions', async () => {
    const versions = await addModel('whole', 1, 2);
    for (const [expectedRevision, gates] of [{ checks: ['golden'] }, {}].entries())
      await registry.call('PUT', '/v1/models/whole/gates', { expectedRevision, gates });
    const table = await addDataset('whole', 'a\n11\n');
    await registry.call('PUT', '/v1/models/whole/aliases/candidate', { version: 1, expectedRevision: 0 });
    const { revision } = (await registry.call<Model>('GET', '/v1/models/whole')).body;
    expect((await registry.call('DELETE', `/v1/models/whole?expectedRevision=${revision}`)).status).toBe(204);
    expect((await registry.call('DELETE', '/v1/datasets/whole')).status).toBe(204);
    const report = await collect();
    expect(report.rows.map(({ kind }) => kind).sort()).toEqual(['dataset-version', 'model', 'version', 'version']);
    for (const sha256 of [...filesOf(...versions), ...table.files.map((file) => file.sha256)])
      expect(await isThere(sha256)).toBe(false);
    expect((await registry.call<Page<Model>>('GET', '/v1/models?deleted=true')).body.items).toEqual([]);
    expect((await addDataset('whole', 'a\n12\n')).version).toBe(2);
    await expectVerified();
  });

  it('removes a deleted run of MLflow with its artifacts, unless a version that stays was made from it', async () => {
    const api = <T>(path: string, body: unknown) => registry.call<T>('POST', `/api/2.0/mlflow/${path}`, body);
    const artifact = async (run: string): Promise<void> => {
      const path = `/api/2.0/mlflow-artifacts/artifacts/0/${run}/artifacts/model/MLmodel`;
      const answer = await fetch(`${registry.url}${path}`, { method: 'PUT', body: `flavors: {} # ${run}` });
      expect(answer.status).toBe(200);
    };
    const startRun = async (): Promise<string> => {
      const { body } = await api<{ run: { info: { run_id: string } } }>('runs/create', {});
      await api('runs/log-metric', { run_id: body.run.info.run_id, key: 'auc', value: 0.5, timestamp: 1, step: 0 });
      await artifact(body.run.info.run_id);
      return body.run.info.run_id;
    };
    const [needed, unneeded] = [await startRun(), await startRun()];
    await registry.call('POST', '/v1/models', { name: 'logged' });
    const source = `mlflow-artifacts:/0/${needed}/artifacts/model`;
    expect((await api('model-versions/create', { name: 'logged', source, run_id: needed })).status).toBe(200);
    for (const run_id of [needed, unneeded]) expect((await api('runs/delete', { run_id })).status).toBe(200);
    const plan = await collect(false);
    expect(plan.rows).toMatchObject([{ kind: 'run', id: unneeded }]);
    expect(await collect()).toMatchObject({ rows: plan.rows, blobs: plan.blobs });
    const get = (run: string) => registry.call('GET', `/api/2.0/mlflow/runs/get?run_id=${run}`);
    expect([(await get(needed)).status, (await get(unneeded)).status]).toEqual([200, 404]);
    expect((await api('runs/restore', { run_id: needed })).status).toBe(200);
    const kept = `/api/2.0/mlflow-artifacts/artifacts/0/${needed}/artifacts/model/MLmodel`;
    expect((await fetch(`${registry.url}${kept}`)).status).toBe(200);
    await expectVerified();
  });
});

describe('a collection of a registry of its own', () => {
  afterEach(() => registry[Symbol.asyncDispose]());

  it('leaves what can be restored, and what is younger than the grace, alone', async () => {
    await start({});
    const [version] = await addModel('m', 1);
    const unused = Buffer.from('to be registered soon');
    await registry.put(unused);
    await registry.call('DELETE', '/v1/models/m/versions/1');
    const report = await collect();
    expect(report).toMatchObject({ rowCount: 0, blobs: { count: 0 }, kept: { young: { count: 1 } } });
    expect((await registry.call('POST', '/v1/models/m/versions/1/restore')).status).toBe(200);
    for (const file of version?.files ?? [])
      expect((await fetch(`${registry.url}/v1/versions/${version?.id}/files/${file.path}`)).status).toBe(200);
  });

  it('comes by itself as often as a setting says, and is counted', async () => {
    await start({ ...AT_ONCE, collectEveryMs: 50 });
    await addDataset('d', 'a\n1\n');
    await registry.call('DELETE', '/v1/datasets/d');
    const purges = async () =>
      (await registry.call<Page<AuditEntry>>('GET', '/v1/audit?action=dataset-version.purge')).body;
    await expect.poll(async () => (await purges()).items.length).toBe(1);
    expect((await purges()).items).toMatchObject([{ principal: 'collector' }]);
    await expect.poll(() => isThere(sha256Of(Buffer.from('a\n1\n')))).toBe(false);
    const metrics = async () => (await fetch(`${registry.url}/metrics`)).text();
    await expect.poll(metrics).toMatch(/^assay_registry_collected_blobs_total 1$/m);
    expect(await metrics()).toMatch(/^assay_registry_collected_rows_total 1$/m);
  });

  it('is refused where nothing was ever registered: the database may be the wrong one', async () => {
    await start();
    await registry.put(Buffer.from('of another database'));
    const refused = await registry.fails('POST', '/v1/collect', { delete: true });
    expect([refused.status, refused.body.error.code]).toEqual([412, 'FAILED_PRECONDITION']);
    expect(await isThere(sha256Of(Buffer.from('of another database')))).toBe(true);
  });
});
