/** Deleting datasets and their versions: soft, never what somebody needs; and taking that back. */
import { AssayError, type Dataset, type DatasetVersion } from '@assay/contracts';
import { type Actor, type Change, change, type Store } from './change.ts';
import {
  datasetOf,
  findDataset,
  newestBefore,
  requireDataset,
  requireNumber,
  summaryOf,
  versionOf,
} from './datasets.ts';
import { refuseNeededDatasets } from './needs.ts';
import type { DatasetsTable, DatasetVersionsTable, Queryable } from './tables.ts';

/**
 * A dataset has one version at least: who means the last one deletes the dataset.
 * @throws AssayError NOT_FOUND; FAILED_PRECONDITION with who needs it
 */
export function deleteDatasetVersion(store: Store, actor: Actor, name: string, version: number): Promise<void> {
  return change(store, actor, async (change) => {
    const { trx } = change;
    const dataset = await requireDataset(trx, name);
    const row = await requireNumber(trx, dataset, version);
    await refuseNeededDatasets(trx, { what: `version ${version} of dataset ${name}`, versions: [row] });
    await setDeleted(change, dataset, row, change.at);
    const latest = await newestBefore(trx, dataset.id, dataset.last_version + 1);
    if (latest === undefined) {
      const message = `version ${version} is the only one that dataset ${name} has; delete the dataset`;
      throw new AssayError('FAILED_PRECONDITION', message);
    }
    await updateDataset(change, dataset, { latest_version: latest });
  });
}

/**
 * With all its versions. The name stays its own, and so do the numbers: a version that is registered under it goes on.
 * @throws AssayError NOT_FOUND; FAILED_PRECONDITION with who needs one of its versions
 */
export function deleteDataset(store: Store, actor: Actor, name: string): Promise<void> {
  return change(store, actor, async (change) => {
    const { trx } = change;
    const dataset = await requireDataset(trx, name);
    const rows = await versionsOf(trx, dataset, null);
    await refuseNeededDatasets(trx, { what: `dataset ${name}`, versions: rows });
    for (const row of rows) await setDeleted(change, dataset, row, change.at);
    const deleted = await updateDataset(change, dataset, { deleted_at: change.at });
    change.record('dataset.delete', `dataset/${dataset.id}`, { name, versions: rows.length });
    announceDataset(change, deleted, rows, 'assay.dataset.deleted.v1');
  });
}

/** @throws AssayError NOT_FOUND where no such version of the dataset is deleted */
export function restoreDatasetVersion(
  store: Store,
  actor: Actor,
  name: string,
  version: number,
): Promise<DatasetVersion> {
  return change(store, actor, async (change) => {
    const { trx } = change;
    const dataset = await requireDataset(trx, name);
    const row = await trx
      .selectFrom('dataset_versions')
      .selectAll()
      .where('dataset_id', '=', dataset.id)
      .where('version', '=', version)
      .where('deleted_at', 'is not', null)
      .executeTakeFirst();
    if (row === undefined) {
      const hint = `GET /v1/datasets/${name}/versions?deleted=true lists them`;
      throw new AssayError('NOT_FOUND', `dataset ${name} has no deleted version ${version}; ${hint}`);
    }
    await setDeleted(change, dataset, row, null);
    await updateDataset(change, dataset, { latest_version: Math.max(dataset.latest_version, version) });
    return versionOf({ ...row, deleted_at: null }, name);
  });
}

/**
 * With the versions that were deleted with it; those that were deleted before stay so.
 * @throws AssayError NOT_FOUND where no dataset of that name is deleted
 */
export function restoreDataset(store: Store, actor: Actor, name: string): Promise<Dataset> {
  return change(store, actor, async (change) => {
    const { trx } = change;
    const dataset = await findDataset(trx, name);
    const rows = dataset === undefined ? [] : await versionsOf(trx, dataset, dataset.deleted_at);
    if (dataset === undefined || dataset.deleted_at === null || rows.length === 0) {
      const hint = 'GET /v1/datasets?deleted=true lists them';
      throw new AssayError('NOT_FOUND', `there is no deleted dataset "${name}"; ${hint}`);
    }
    for (const row of rows) await setDeleted(change, dataset, row, null);
    const restored = await updateDataset(change, dataset, { deleted_at: null });
    change.record('dataset.restore', `dataset/${dataset.id}`, { name, versions: rows.length });
    return announceDataset(change, restored, rows, 'assay.dataset.restored.v1');
  });
}

function versionsOf(db: Queryable, dataset: DatasetsTable, deletedAt: number | null): Promise<DatasetVersionsTable[]> {
  return db
    .selectFrom('dataset_versions')
    .selectAll()
    .where('dataset_id', '=', dataset.id)
    .where('deleted_at', deletedAt === null ? 'is' : '=', deletedAt)
    .orderBy('version')
    .execute();
}

function updateDataset(
  { trx, at }: Change,
  { id, revision }: DatasetsTable,
  to: Partial<DatasetsTable>,
): Promise<DatasetsTable> {
  return trx
    .updateTable('datasets')
    .set({ ...to, updated_at: at, revision: revision + 1 })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

async function setDeleted(
  change: Change,
  dataset: DatasetsTable,
  row: DatasetVersionsTable,
  deletedAt: number | null,
): Promise<void> {
  const revision = row.revision + 1;
  await change.trx
    .updateTable('dataset_versions')
    .set({ deleted_at: deletedAt, revision })
    .where('id', '=', row.id)
    .execute();
  const { digest, version } = row;
  const action = deletedAt === null ? 'restore' : 'delete';
  change.record(`dataset-version.${action}`, `dataset-version/${row.id}`, {
    datasetName: dataset.name,
    version,
    digest,
  });
  change.announce(
    deletedAt === null ? 'assay.dataset-version.restored.v1' : 'assay.dataset-version.deleted.v1',
    row.id,
    revision,
    summaryOf({ ...row, deleted_at: deletedAt }, dataset.name),
  );
}

function announceDataset(
  change: Change,
  dataset: DatasetsTable,
  rows: readonly DatasetVersionsTable[],
  type: 'assay.dataset.deleted.v1' | 'assay.dataset.restored.v1',
): Dataset {
  const newest = rows.findLast(({ version }) => version === dataset.latest_version) ?? rows.at(-1);
  if (newest === undefined) throw new AssayError('INTERNAL', `dataset ${dataset.name} has no version`);
  const shown = datasetOf(dataset, summaryOf({ ...newest, deleted_at: dataset.deleted_at }, dataset.name));
  change.announce(type, dataset.id, dataset.revision, shown);
  return shown;
}
