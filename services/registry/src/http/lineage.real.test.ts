import type {
  CreateDatasetVersion,
  DatasetChanges,
  DatasetLineage,
  DatasetVersion,
  Endpoint,
  Version,
  VersionLineage,
} from '@assay/contracts';
import type { AnyTables } from '@assay/database';
import type { Lineage } from '@assay/model-package';
import type { Kysely } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makePackage, type RegistryUnderTest, sha256Of, startRegistry } from '../registry-under-test.ts';
import { openRegistryDatabase } from '../service.ts';
import { lineageMigration } from '../store/migrations/022-lineage.ts';
import { databaseUrlOf } from '../testing/database.ts';

/** How packages are checked is tested elsewhere; here it matters what they say. */
const accepted = async (): Promise<void> => {};

let registry: RegistryUnderTest;
beforeAll(async () => {
  registry = await startRegistry({ deps: { checkPackage: accepted } });
});
afterAll(() => registry[Symbol.asyncDispose]());

let made = 0;

/** A dataset version of one file whose content is of its own; the digest of that file with it. */
async function addDataset(name: string, more: Partial<CreateDatasetVersion> = {}) {
  const bytes = Buffer.from(`a\n${++made}\n`);
  const sha256 = sha256Of(bytes);
  await registry.put(bytes);
  const { body, status } = await registry.call<DatasetVersion>('POST', `/v1/datasets/${name}/versions`, {
    format: 'csv',
    files: [{ name: 'a.csv', sha256, sizeBytes: bytes.length }],
    rows: 1,
    schema: [{ name: 'a', type: 'BIGINT', nullable: false }],
    changes: 'more',
    ...more,
  });
  expect(status).toBe(201);
  return { version: body, fileSha256: sha256 };
}

async function addVersion(model: string, lineage: Partial<Lineage> = {}): Promise<Version> {
  await registry.call('POST', '/v1/models', { name: model });
  const { body, status } = await registry.register(model, await makePackage({ adds: ++made, lineage }));
  expect(status).toBe(201);
  return body;
}

const datasetOf = ({ id, datasetName, version, digest }: DatasetVersion): Partial<Lineage> => ({
  dataset: { id, name: datasetName, version, digest },
});

async function lineageOf(model: string, version: number | string): Promise<VersionLineage> {
  const { body, status } = await registry.call<VersionLineage>(
    'GET',
    `/v1/models/${model}/versions/${version}/lineage`,
  );
  expect(status).toBe(200);
  return body;
}

async function datasetLineageOf(name: string, query = ''): Promise<DatasetLineage> {
  const { body, status } = await registry.call<DatasetLineage>(
    'GET',
    `/v1/datasets/${name}/versions/latest/lineage${query}`,
  );
  expect(status).toBe(200);
  return body;
}

describe('the lineage of a version', () => {
  it('goes back to spec, code, seed, libraries, and from its dataset to the raw ones', async () => {
    const raw = await addDataset('raw-1', { layer: 'raw', personalData: ['a'], licence: 'internal' });
    const labels = await addDataset('labels-1', { layer: 'raw' });
    const cleaned = await addDataset('cleaned-1', { layer: 'cleaned', parents: [raw.version.id] });
    const labelled = await addDataset('labelled-1', {
      layer: 'labelled',
      parents: [cleaned.version.id, labels.version.id],
    });
    const version = await addVersion('back', {
      ...datasetOf(labelled.version),
      specSha256: 'a'.repeat(64),
      specSource: { name: 'nightly', revision: 3 },
      codeVersion: '1.2.3',
      codeCommit: 'c0ffee',
      seed: 7,
      libraries: { lightgbm: '4.6' },
      jobId: 'job_1',
      origin: 'the reservation system',
      licence: 'internal',
    });
    const lineage = await lineageOf('back', 1);
    expect(lineage).toMatchObject({
      version: { id: version.id, modelName: 'back', version: 1, digest: version.digest, isDeleted: false },
      origin: {
        ...{ jobId: 'job_1', specSha256: 'a'.repeat(64), code: { version: '1.2.3', commit: 'c0ffee' }, seed: 7 },
        specSource: { name: 'nightly', revision: 3 },
        ...{ libraries: { lightgbm: '4.6' }, source: 'the reservation system', licence: 'internal' },
        producer: { name: 'assay' },
      },
      inputs: [
        { kind: 'dataset', digest: labelled.version.digest, toldBy: 'package', datasets: [labelled.version.id] },
      ],
      ...{ parents: [], children: [], aliases: [], endpoints: [], truncated: false, unread: false },
    });
    expect(lineage.datasets.map(({ name }) => name)).toEqual(['labelled-1', 'cleaned-1', 'labels-1', 'raw-1']);
    expect(lineage.datasets[0]?.parents).toEqual([cleaned.version.id, labels.version.id]);
    expect(lineage.datasets[3]).toMatchObject({ layer: 'raw', personalData: ['a'], licence: 'internal', parents: [] });
  });

  it('finds the dataset versions that hold a file that was read, and shows a digest that nobody knows as such', async () => {
    const known = await addDataset('files');
    await addVersion('of-files', { datasetSha256s: [known.fileSha256, 'f'.repeat(64)] });
    const { inputs } = await lineageOf('of-files', 1);
    expect(inputs).toHaveLength(2);
    expect(inputs).toContainEqual({
      ...{ kind: 'file', digest: known.fileSha256, toldBy: 'package', datasets: [known.version.id] },
    });
    expect(inputs).toContainEqual({ kind: 'file', digest: 'f'.repeat(64), toldBy: 'package', datasets: [] });
  });

  it('believes a digest more than the id that is said to have it', async () => {
    const [one, other] = [await addDataset('honest'), await addDataset('honest')];
    const { id, datasetName: name, version, digest } = one.version;
    await addVersion('liar', { dataset: { id: other.version.id, name, version, digest } });
    expect((await lineageOf('liar', 1)).inputs).toMatchObject([{ digest, datasets: [id] }]);
  });

  it('names the very version of a dataset where the same table was registered twice', async () => {
    const first = await addDataset('twice');
    const { files, format, rows, schema } = first.version;
    const again = await addDataset('twice', { files, format, rows, schema, owner: 'someone else' });
    expect(again.version.digest).toBe(first.version.digest);
    await addVersion('of-first', datasetOf(first.version));
    expect((await lineageOf('of-first', 1)).inputs).toMatchObject([{ datasets: [first.version.id] }]);
    const fed = async (version: number) =>
      (await registry.call<DatasetLineage>('GET', `/v1/datasets/twice/versions/${version}/lineage`)).body.fed;
    expect(await fed(1)).toHaveLength(1);
    expect(await fed(2)).toEqual([]);
  });

  it('goes from a version to those that were made from it, and back', async () => {
    const parent = await addVersion('parent');
    const child = await addVersion('child', { parents: [parent.digest, 'e'.repeat(64)] });
    const { parents } = await lineageOf('child', 1);
    expect(parents).toContainEqual({ digest: parent.digest, versions: [expect.objectContaining({ id: parent.id })] });
    expect(parents).toContainEqual({ digest: 'e'.repeat(64), versions: [] });
    expect((await lineageOf('parent', 1)).children.map(({ id }) => id)).toEqual([child.id]);
  });

  it('is 404 for a version that is not there', async () => {
    expect((await registry.fails('GET', '/v1/models/back/versions/99/lineage')).status).toBe(404);
  });
});

describe('where a version serves and served', () => {
  it('is told with alias, endpoint, weight, revision and who moved it', async () => {
    const [one, two] = [await addVersion('served'), await addVersion('served')];
    const move = (version: number, expectedRevision: number) =>
      registry.call('PUT', '/v1/models/served/aliases/champion', { version, expectedRevision });
    await move(1, 0);
    await move(2, 1);
    const put = (variants: unknown, expectedRevision: number) =>
      registry.call<Endpoint>('PUT', '/v1/endpoints/split', { variants, expectedRevision });
    const { body: split } = await put([{ versionId: one.id, weight: 10_000 }], 0);
    await put(
      [
        { versionId: one.id, weight: 9000 },
        { versionId: two.id, weight: 1000 },
      ],
      1,
    );

    const [ofOne, ofTwo] = [await lineageOf('served', 1), await lineageOf('served', 2)];
    expect(ofOne.aliases).toEqual([
      { alias: 'champion', revision: 1, from: expect.any(Number), until: expect.any(Number), by: 'local' },
    ]);
    expect(ofTwo.aliases).toEqual([{ alias: 'champion', revision: 2, from: expect.any(Number), by: 'local' }]);
    expect(ofOne.endpoints).toMatchObject([
      { endpoint: 'split', endpointId: split.id, weight: 9000, revision: 2, by: 'local' },
      { endpoint: 'split', weight: 10_000, revision: 1, until: expect.any(Number) },
      { endpoint: 'served', weight: 10_000, revision: 1, until: expect.any(Number) },
    ]);
    expect(ofOne.endpoints[0]).not.toHaveProperty('until');
    expect(ofTwo.endpoints.filter(({ until }) => until === undefined)).toMatchObject([
      { endpoint: 'split', weight: 1000, revision: 2 },
      { endpoint: 'served', weight: 10_000, revision: 2 },
    ]);

    await registry.call('DELETE', '/v1/endpoints/split?expectedRevision=2');
    await registry.call('DELETE', '/v1/endpoints/served?expectedRevision=2');
    await registry.call('DELETE', '/v1/models/served/aliases/champion?expectedRevision=2');
    for (const version of [1, 2]) {
      const { aliases, endpoints } = await lineageOf('served', version);
      expect([...aliases, ...endpoints].filter(({ until }) => until === undefined)).toEqual([]);
    }
  });

  it('does not begin anew when an endpoint changes in other ways', async () => {
    const one = await addVersion('steady');
    await registry.call('PUT', '/v1/models/steady/aliases/champion', { version: 1, expectedRevision: 0 });
    await registry.call('PUT', '/v1/endpoints/steady', { defaultTimeoutMs: 77, expectedRevision: 1 });
    expect((await lineageOf('steady', 1)).endpoints).toMatchObject([{ revision: 1, weight: 10_000 }]);
    expect(one.version).toBe(1);
  });
});

describe('the lineage of a dataset version', () => {
  it('goes forward to the datasets that were made from it, and to the models that any of them fed', async () => {
    const raw = await addDataset('raw-2');
    const cleaned = await addDataset('cleaned-2', { layer: 'cleaned', parents: [raw.version.id] });
    const features = await addDataset('features-2', { layer: 'processed', parents: [cleaned.version.id] });
    const direct = await addVersion('direct', { datasetSha256s: [raw.fileSha256] });
    const derived = await addVersion('derived', datasetOf(features.version));
    await addVersion('unrelated', datasetOf((await addDataset('other-2')).version));

    const forward = await datasetLineageOf('raw-2');
    expect(forward).toMatchObject({ dataset: { id: raw.version.id }, ancestors: [], truncated: false, unread: false });
    expect(forward.descendants.map(({ name }) => name)).toEqual(['cleaned-2', 'features-2']);
    expect(forward.fed).toMatchObject([
      { version: { id: direct.id, modelName: 'direct' }, dataset: raw.version.id, toldBy: 'package' },
      { version: { id: derived.id, modelName: 'derived' }, dataset: features.version.id, toldBy: 'package' },
    ]);
    expect(forward).not.toHaveProperty('next');
    expect((await datasetLineageOf('features-2')).ancestors.map(({ name }) => name)).toEqual(['cleaned-2', 'raw-2']);
  });

  it('pages through the versions that it fed, each once, deleted ones too', async () => {
    const { version } = await addDataset('popular');
    const versions: string[] = [];
    for (let i = 0; i < 5; i += 1) versions.push((await addVersion('fan', datasetOf(version))).id);
    await registry.call('DELETE', '/api/2.0/mlflow/model-versions/delete', { name: 'fan', version: '2' });
    const seen: string[] = [];
    for (let after: string | undefined, pages = 0; pages < 4; pages += 1) {
      const { fed, next } = await datasetLineageOf(
        'popular',
        `?limit=2${after === undefined ? '' : `&after=${after}`}`,
      );
      seen.push(...fed.map((one) => one.version.id));
      expect(fed.every((one) => one.version.isDeleted === (one.version.version === 2))).toBe(true);
      if (next === undefined) break;
      after = next;
    }
    expect(seen).toEqual(versions);
    expect((await registry.fails('GET', '/v1/datasets/popular/versions/1/lineage?after=x')).status).toBe(400);
  });

  it('says that it is cut where more was made from it than is followed', async () => {
    let last = await addDataset('chain');
    const first = last.version.version;
    for (let i = 0; i < 40; i += 1) last = await addDataset('chain', { parents: [last.version.id] });
    const { body } = await registry.call<DatasetLineage>('GET', `/v1/datasets/chain/versions/${first}/lineage`);
    expect(body.truncated).toBe(true);
    expect(body.descendants).toHaveLength(32);
  });
});

describe('what a run of MLflow tells', () => {
  const api = <T>(method: string, path: string, body?: unknown) =>
    registry.call<T>(method, `/api/2.0/mlflow/${path}`, body);

  it('is commit, libraries and datasets, and a copy names its original', async () => {
    const table = await addDataset('mlflow-table');
    const run = (
      await api<{ run: { info: { run_id: string; artifact_uri: string } } }>('POST', 'runs/create', {
        experiment_id: '0',
        start_time: 1000,
        run_name: 'fit',
        tags: [
          { key: 'mlflow.source.git.commit', value: 'decade' },
          { key: 'mlflow.source.name', value: 'train.py' },
        ],
      })
    ).body.run.info;
    const dataset = (name: string, digest: string, context: string) => ({
      tags: [{ key: 'mlflow.data.context', value: context }],
      dataset: { name, digest, source_type: 'http', source: '{}' },
    });
    const logged = await api('POST', 'runs/log-inputs', {
      run_id: run.run_id,
      datasets: [
        dataset('flights', table.version.digest.slice(0, 32), 'training'),
        dataset('someone elses', '1a2b3c4d', 'evaluation'),
      ],
    });
    expect(logged.status).toBe(200);
    const folder = `${run.artifact_uri.replace('mlflow-artifacts:/', '')}/model`;
    const made = await makePackage({ adds: 1 });
    const files = { 'model.onnx': made.contents.get('model.onnx'), MLmodel: made.contents.get('MLmodel') };
    for (const [name, bytes] of Object.entries({
      ...files,
      'requirements.txt': Buffer.from('onnx==1.19.0\nnumpy\n'),
    })) {
      const url = `${registry.url}/api/2.0/mlflow-artifacts/artifacts/${folder}/${name}`;
      expect((await fetch(url, { method: 'PUT', body: Buffer.from(bytes ?? '') })).status).toBe(200);
    }
    await api('POST', 'registered-models/create', { name: 'logged' });
    const register = (source: string, more = {}) =>
      api<{ model_version: { status: string } }>('POST', 'model-versions/create', { name: 'logged', source, ...more });
    await register(`runs:/${run.run_id}/model`, { run_id: run.run_id });
    await register('models:/logged/1');
    await expect
      .poll(async () => (await registry.call('GET', '/v1/models/logged/versions/2')).status, {
        timeout: 60_000,
      })
      .toBe(200);

    const [one, copy] = [await lineageOf('logged', 1), await lineageOf('logged', 2)];
    expect(one.origin).toMatchObject({
      run: { id: run.run_id, name: 'fit', experimentName: 'Default', startedAt: 1000 },
      code: { commit: 'decade', entryPoint: 'train.py' },
      libraries: { onnx: '1.19.0' },
    });
    expect(one.inputs).toEqual([
      {
        ...{ kind: 'dataset', digest: table.version.digest.slice(0, 32), toldBy: 'run', name: 'flights' },
        ...{ context: 'training', datasets: [table.version.id] },
      },
      {
        ...{ kind: 'dataset', digest: '1a2b3c4d', toldBy: 'run', name: 'someone elses', context: 'evaluation' },
        datasets: [],
      },
    ]);
    expect(copy.parents).toMatchObject([
      { versions: expect.arrayContaining([expect.objectContaining({ version: 1 })]) },
    ]);
    expect((await datasetLineageOf('mlflow-table')).fed).toMatchObject([
      { version: { modelName: 'logged', version: 1 }, toldBy: 'run', context: 'training' },
    ]);
  }, 120_000);
});

describe('what an older registry had', () => {
  it('has its lineage after the migration: datasets, uses from the audit trail, and what packages say', async () => {
    await using old = await startRegistry({ deps: { checkPackage: accepted } });
    const before = registry;
    registry = old;
    try {
      const raw = await addDataset('raw');
      const table = await addDataset('table', { parents: [raw.version.id] });
      const [one, two] = [await addVersion('m', datasetOf(table.version)), await addVersion('m', { seed: 5 })];
      for (const [i, version] of [1, 2, 1].entries())
        await registry.call('PUT', '/v1/models/m/aliases/champion', { version, expectedRevision: i });
      const variants = [
        { versionId: one.id, weight: 4000 },
        { versionId: two.id, weight: 6000 },
      ];
      await registry.call('PUT', '/v1/endpoints/gone', { variants, expectedRevision: 0 });
      await registry.call('DELETE', '/v1/endpoints/gone?expectedRevision=1');
      const all = async () => [await lineageOf('m', 1), await lineageOf('m', 2), await datasetLineageOf('raw')];
      const known = await all();

      await old.stop();
      await migrateAgain(old.dir);
      await using migrated = await startRegistry({ dir: old.dir });
      registry = migrated;
      await expect.poll(async () => (await datasetLineageOf('raw')).unread).toBe(false);
      expect(await all()).toEqual(known);
    } finally {
      registry = before;
    }
  });

  /** As if the lineage had been kept from now on only. */
  async function migrateAgain(dir: string): Promise<void> {
    await using database = await openRegistryDatabase(databaseUrlOf(dir));
    const { db } = database;
    for (const table of ['version_lineage', 'version_inputs', 'dataset_files', 'dataset_parents', 'version_uses'])
      await db.schema.dropTable(table).execute();
    for (const index of ['versions_by_digest', 'dataset_versions_by_digest', 'mlflow_run_datasets_by_digest'])
      await db.schema.dropIndex(index).execute();
    // A migration sees any table.
    await database.transaction((trx) => lineageMigration.up(trx as unknown as Kysely<AnyTables>));
  }
});

describe('what a version of a dataset changed', () => {
  it('is told against the version before, or any other', async () => {
    const schema = [{ name: 'a', type: 'BIGINT', nullable: false }];
    await addDataset('changing', { schema });
    await addDataset('changing', { schema: [...schema, { name: 'b', type: 'VARCHAR', nullable: true }], rows: 3 });
    await addDataset('changing', { rows: 5, owner: 'ada' });
    const changes = async (path: string) =>
      (await registry.call<DatasetChanges>('GET', `/v1/datasets/changing/versions/${path}`)).body;
    expect(await changes('latest/changes')).toMatchObject({
      ...{ from: { version: 2 }, to: { version: 3 }, rows: { from: 3, to: 5 }, told: 'more' },
      columns: { added: [], removed: [{ name: 'b' }] },
      about: [{ what: 'owner', from: '', to: 'ada' }],
    });
    expect(await changes('3/changes?since=1')).toMatchObject({
      ...{ from: { version: 1 }, columns: { added: [], removed: [] }, withoutProfile: ['a'] },
    });
    const first = await registry.fails('GET', '/v1/datasets/changing/versions/1/changes');
    expect([first.status, first.body.error.code]).toEqual([412, 'FAILED_PRECONDITION']);
  });
});
