/** A dataset version as it is written: whole, with its audit entry and its events, or not at all. */
import { AssayError, type CreateDatasetVersion, type DatasetVersion, type ErrorDetail } from '@assay/contracts';
import { newId } from '@assay/runtime';
import { type About, aboutOf, saidOtherwise } from '../domain/dataset-rules.ts';
import { type BlobClaim, settleClaim } from './blob-claims.ts';
import { type Actor, type Change, change, type Store } from './change.ts';
import { keepDatasetLineage } from './dataset-lineage.ts';
import { datasetOf, findDataset, requireNumber, summaryOf, versionOf } from './datasets.ts';
import { type DatasetsTable, type DatasetVersionsTable, fromJson, type Queryable } from './tables.ts';

/** A checked registration, and the digest of its table. */
export interface NewDatasetVersion {
  readonly body: CreateDatasetVersion;
  readonly digest: string;
  /** On the blobs of its files. */
  readonly claim: BlobClaim;
}

/**
 * The version that this registration gave before, or that holds the same and of which the same is said: the one of its
 * idempotency key, else the newest.
 * @throws AssayError ALREADY_EXISTS when the key gave a version of another table
 */
async function findRegistered(
  db: Queryable,
  name: string,
  { body, digest }: NewDatasetVersion,
): Promise<DatasetVersion | undefined> {
  const dataset = await findDataset(db, name);
  if (dataset === undefined) return undefined;
  const known = await findByKey(db, dataset, body.idempotencyKey);
  if (known !== undefined) {
    if (known.deleted_at !== null) {
      throw new AssayError(
        'ALREADY_EXISTS',
        `idempotencyKey: "${body.idempotencyKey}" gave version ${known.version} of ${name}, which was deleted since; restore it, or use another key`,
      );
    }
    if (known.digest === digest) return versionOf(known, name);
    throw new AssayError(
      'ALREADY_EXISTS',
      `idempotencyKey: "${body.idempotencyKey}" gave version ${known.version} of ${name}, which is another table; use a key of its own for each`,
    );
  }
  if (dataset.deleted_at !== null) return undefined;
  const newest = await requireNumber(db, dataset, dataset.latest_version);
  const isSame = newest.digest === digest && saidOtherwise(body, fromJson<About>(newest.about)).length === 0;
  return isSame ? versionOf(newest, name) : undefined;
}

/**
 * Gives the table its id and number: consecutive within the dataset, distinct under any concurrency, since the dataset's
 * row is read and written in one transaction. `created` is false where `findRegistered` has one.
 * @throws AssayError INVALID_ARGUMENT for a parent that does not exist, or without `changes` from version 2 on
 */
export function insertDatasetVersion(
  store: Store,
  actor: Actor,
  name: string,
  made: NewDatasetVersion,
): Promise<{ version: DatasetVersion; created: boolean }> {
  return change(store, actor, async (change) => {
    const { trx, at } = change;
    const { body, digest } = made;
    const before = await findRegistered(trx, name, made);
    if (before !== undefined) {
      await keepKey(change, before, body.idempotencyKey);
      return { version: before, created: false };
    }
    await requireParents(trx, body.parents ?? []);
    const dataset = (await findDataset(trx, name)) ?? (await insertDataset(change, name));
    if (dataset.last_version > 0 && dataset.deleted_at === null) await requireChanges(trx, dataset, made);
    await settleClaim(trx, made.claim);
    const row: DatasetVersionsTable = {
      id: newId('ds'),
      dataset_id: dataset.id,
      version: dataset.last_version + 1,
      digest,
      format: body.format,
      row_count: body.rows,
      file_count: body.files.length,
      column_count: body.schema.length,
      size_bytes: body.files.reduce((sum, file) => sum + file.sizeBytes, 0),
      files: JSON.stringify(body.files.toSorted((a, b) => (a.name < b.name ? -1 : 1))),
      columns: JSON.stringify(body.schema),
      profile: body.profile === undefined ? null : JSON.stringify(body.profile),
      about: JSON.stringify(aboutOf(body)),
      created_at: at,
      created_by: actor.principal,
      deleted_at: null,
      revision: 1,
    };
    await trx.insertInto('dataset_versions').values(row).execute();
    await keepDatasetLineage(trx, row.id, body);
    const updated = {
      last_version: row.version,
      latest_version: row.version,
      updated_at: at,
      deleted_at: null,
      revision: dataset.revision + 1,
    };
    await trx.updateTable('datasets').set(updated).where('id', '=', dataset.id).execute();
    const version = versionOf(row, name);
    await keepKey(change, version, body.idempotencyKey);
    tell(change, { ...dataset, ...updated }, row);
    return { version, created: true };
  });
}

/** The audit entry and the events of a version that was registered now. */
function tell(change: Change, dataset: DatasetsTable, row: DatasetVersionsTable): void {
  const summary = summaryOf(row, dataset.name);
  const { layer, source, owner, licence, knownBias, personalData, changes, parents } = summary;
  change.record('dataset-version.register', `dataset-version/${row.id}`, {
    dataset: dataset.id,
    datasetName: dataset.name,
    version: row.version,
    digest: row.digest,
    ...{ layer, source, owner, licence, knownBias, personalData, changes, parents },
  });
  change.announce('assay.dataset-version.registered.v1', row.id, 1, summary);
  change.announce('assay.dataset.version-registered.v1', dataset.id, dataset.revision, datasetOf(dataset, summary));
}

async function insertDataset(change: Change, name: string): Promise<DatasetsTable> {
  const row: DatasetsTable = {
    id: newId('dat'),
    name,
    last_version: 0,
    latest_version: 0,
    revision: 0,
    created_at: change.at,
    updated_at: change.at,
    deleted_at: null,
  };
  await change.trx.insertInto('datasets').values(row).execute();
  return row;
}

/** From now on the key gives this version, also when others have been registered since. */
async function keepKey(change: Change, version: DatasetVersion, key: string | undefined): Promise<void> {
  if (key === undefined) return;
  await change.trx
    .insertInto('dataset_version_keys')
    .values({ dataset_id: version.datasetId, idempotency_key: key, version_id: version.id })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

async function requireParents(db: Queryable, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const rows = await db
    .selectFrom('dataset_versions')
    .select('id')
    .where('id', 'in', ids)
    .where('deleted_at', 'is', null)
    .execute();
  const known = new Set(rows.map(({ id }) => id));
  const details: ErrorDetail[] = ids.flatMap((id, i) =>
    known.has(id)
      ? []
      : [
          {
            place: `parents[${i}]`,
            message: `there is no dataset version "${id}"`,
            expected: 'the id of a dataset version',
          },
        ],
  );
  const [first] = details;
  if (first) throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}`, { details });
}

async function requireChanges(db: Queryable, dataset: DatasetsTable, { body, digest }: NewDatasetVersion) {
  if (body.changes !== undefined && body.changes.trim() !== '') return;
  const newest = await requireNumber(db, dataset, dataset.latest_version);
  const otherwise = saidOtherwise(body, fromJson<About>(newest.about));
  const why = newest.digest === digest ? `of this table, with another ${otherwise.join(', ')}` : 'of another table';
  const message = `${dataset.name} has version ${newest.version}, ${why}; say what changed since`;
  throw new AssayError('INVALID_ARGUMENT', `changes: ${message}`, {
    details: [{ place: 'changes', message, expected: 'what changed since the version before' }],
  });
}

async function findByKey(
  db: Queryable,
  dataset: DatasetsTable,
  key: string | undefined,
): Promise<DatasetVersionsTable | undefined> {
  if (key === undefined) return undefined;
  return db
    .selectFrom('dataset_version_keys')
    .innerJoin('dataset_versions', 'dataset_versions.id', 'dataset_version_keys.version_id')
    .selectAll('dataset_versions')
    .where('dataset_version_keys.dataset_id', '=', dataset.id)
    .where('dataset_version_keys.idempotency_key', '=', key)
    .executeTakeFirst();
}
