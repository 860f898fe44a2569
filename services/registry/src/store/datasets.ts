/** Datasets as they are read: a name, and the immutable tables under it. */
import {
  AssayError,
  type Dataset,
  type DatasetColumn,
  type DatasetColumnProfile,
  type DatasetFile,
  type DatasetVersion,
  type DatasetVersionSummary,
  nearest,
  type Page,
} from '@assay/contracts';
import type { About } from '../domain/dataset-rules.ts';
import { type DatasetsTable, type DatasetVersionsTable, fromJson, type Queryable } from './tables.ts';

/** Names looked at for a "did you mean". */
const NAMES_TO_SUGGEST = 1000;

/** All but the lists of files and columns and the profile, which may be megabytes. */
const SUMMARY_COLUMNS = [
  'dataset_versions.id',
  'dataset_versions.dataset_id',
  'dataset_versions.version',
  'dataset_versions.digest',
  'dataset_versions.format',
  'dataset_versions.row_count',
  'dataset_versions.file_count',
  'dataset_versions.column_count',
  'dataset_versions.size_bytes',
  'dataset_versions.about',
  'dataset_versions.created_at',
  'dataset_versions.created_by',
  'dataset_versions.deleted_at',
] as const;

type SummaryRow = Omit<DatasetVersionsTable, 'files' | 'columns' | 'profile' | 'revision'>;

/** By name, ascending; the deleted ones where they are asked for. */
export async function listDatasets(
  db: Queryable,
  page: { after?: string; limit: number; deleted?: boolean },
): Promise<Page<Dataset>> {
  let query = db
    .selectFrom('datasets')
    .innerJoin('dataset_versions', (join) =>
      join
        .onRef('dataset_versions.dataset_id', '=', 'datasets.id')
        .onRef('dataset_versions.version', '=', 'datasets.latest_version'),
    )
    .where('datasets.deleted_at', page.deleted ? 'is not' : 'is', null)
    .select(SUMMARY_COLUMNS)
    .select(['datasets.name', 'datasets.latest_version', 'datasets.updated_at', 'datasets.created_at as made_at'])
    .select('datasets.deleted_at as gone_at');
  if (page.after !== undefined) query = query.where('datasets.name', '>', page.after);
  const rows = await query
    .orderBy('datasets.name')
    .limit(page.limit + 1)
    .execute();
  const items = rows.slice(0, page.limit).map((row) => {
    const { name, latest_version, updated_at } = row;
    return datasetOf(
      { id: row.dataset_id, name, latest_version, created_at: row.made_at, updated_at, deleted_at: row.gone_at },
      summaryOf(row, name),
    );
  });
  const last = items.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: last.name } : { items };
}

/** @throws AssayError NOT_FOUND with the nearest name */
export async function getDataset(db: Queryable, name: string): Promise<Dataset> {
  const dataset = await requireDataset(db, name);
  const newest = await db
    .selectFrom('dataset_versions')
    .select(SUMMARY_COLUMNS)
    .where('dataset_id', '=', dataset.id)
    .where('version', '=', dataset.latest_version)
    .executeTakeFirstOrThrow();
  return datasetOf(dataset, summaryOf(newest, name));
}

/** Newest first; the deleted ones where they are asked for, of a deleted dataset, too. */
export async function listDatasetVersions(
  db: Queryable,
  name: string,
  page: { before?: number; limit: number; deleted?: boolean },
): Promise<Page<DatasetVersionSummary>> {
  const dataset = (page.deleted ? await findDataset(db, name) : undefined) ?? (await requireDataset(db, name));
  let query = db
    .selectFrom('dataset_versions')
    .select(SUMMARY_COLUMNS)
    .where('dataset_id', '=', dataset.id)
    .where('deleted_at', page.deleted ? 'is not' : 'is', null);
  if (page.before !== undefined) query = query.where('version', '<', page.before);
  const rows = await query
    .orderBy('version', 'desc')
    .limit(page.limit + 1)
    .execute();
  const items = rows.slice(0, page.limit).map((row) => summaryOf(row, name));
  const last = items.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: String(last.version) } : { items };
}

/**
 * @param version a number, or `latest`
 * @throws AssayError NOT_FOUND
 */
export async function getDatasetVersion(db: Queryable, name: string, version: string): Promise<DatasetVersion> {
  const dataset = await requireDataset(db, name);
  const number = version === 'latest' ? dataset.latest_version : Number(version);
  return versionOf(await requireNumber(db, dataset, number), name);
}

/**
 * A version, and the one that it is compared with: `since`, or the one before.
 * @throws AssayError NOT_FOUND; FAILED_PRECONDITION for a first version
 */
export async function versionToCompare(
  db: Queryable,
  name: string,
  version: string,
  since: number | undefined,
): Promise<{ from: DatasetVersion; to: DatasetVersion }> {
  const to = await getDatasetVersion(db, name, version);
  const before = since ?? (await newestBefore(db, to.datasetId, to.version));
  if (before === undefined) {
    throw new AssayError(
      'FAILED_PRECONDITION',
      `version ${to.version} of ${name} is its first: there is none before it`,
    );
  }
  return { from: await getDatasetVersion(db, name, String(before)), to };
}

/** The number of the newest version that is not deleted, below `version`. */
export async function newestBefore(db: Queryable, datasetId: string, version: number): Promise<number | undefined> {
  const row = await db
    .selectFrom('dataset_versions')
    .select('version')
    .where('dataset_id', '=', datasetId)
    .where('version', '<', version)
    .where('deleted_at', 'is', null)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.version;
}

/** As {@link getDatasetVersion}, without what may be megabytes. */
export async function requireDatasetVersionId(db: Queryable, name: string, version: string): Promise<string> {
  const dataset = await requireDataset(db, name);
  const number = version === 'latest' ? dataset.latest_version : Number(version);
  return (await requireNumber(db, dataset, number)).id;
}

/** @throws AssayError NOT_FOUND */
export async function getDatasetVersionById(db: Queryable, id: string): Promise<DatasetVersion> {
  const row = await db
    .selectFrom('dataset_versions')
    .innerJoin('datasets', 'datasets.id', 'dataset_versions.dataset_id')
    .selectAll('dataset_versions')
    .select('datasets.name')
    .where('dataset_versions.id', '=', id)
    .where('dataset_versions.deleted_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) throw new AssayError('NOT_FOUND', `there is no dataset version with the id "${id}"`);
  return versionOf(row, row.name);
}

/** Deleted or not: its name is taken, and its numbers go on. */
export async function findDataset(db: Queryable, name: string): Promise<DatasetsTable | undefined> {
  return db.selectFrom('datasets').selectAll().where('name', '=', name).executeTakeFirst();
}

export async function requireDataset(db: Queryable, name: string): Promise<DatasetsTable> {
  const row = await findDataset(db, name);
  if (row?.deleted_at === null) return row;
  const names = await db
    .selectFrom('datasets')
    .select('name')
    .where('deleted_at', 'is', null)
    .orderBy('name')
    .limit(NAMES_TO_SUGGEST)
    .execute();
  const suggestion = nearest(
    name,
    names.map((dataset) => dataset.name),
  );
  const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
  throw new AssayError('NOT_FOUND', `there is no dataset "${name}"${hint}`);
}

export async function requireNumber(
  db: Queryable,
  dataset: DatasetsTable,
  version: number,
): Promise<DatasetVersionsTable> {
  const row = await db
    .selectFrom('dataset_versions')
    .selectAll()
    .where('dataset_id', '=', dataset.id)
    .where('version', '=', version)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (row !== undefined) return row;
  throw new AssayError(
    'NOT_FOUND',
    `dataset ${dataset.name} has no version ${version}; it has 1 to ${dataset.latest_version}`,
  );
}

export function datasetOf(
  row: Omit<DatasetsTable, 'last_version' | 'revision'>,
  latest: DatasetVersionSummary,
): Dataset {
  return {
    id: row.id,
    name: row.name,
    latestVersion: row.latest_version,
    latest,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    ...(row.deleted_at === null ? {} : { deletedAt: row.deleted_at }),
  };
}

export function summaryOf(row: SummaryRow, datasetName: string): DatasetVersionSummary {
  return {
    id: row.id,
    datasetId: row.dataset_id,
    datasetName,
    version: row.version,
    digest: row.digest,
    format: row.format,
    rows: row.row_count,
    fileCount: row.file_count,
    columnCount: row.column_count,
    sizeBytes: row.size_bytes,
    ...fromJson<About>(row.about),
    createdAt: row.created_at,
    createdBy: row.created_by,
    ...(row.deleted_at === null ? {} : { deletedAt: row.deleted_at }),
  };
}

export function versionOf(row: DatasetVersionsTable, datasetName: string): DatasetVersion {
  return {
    ...summaryOf(row, datasetName),
    files: fromJson<DatasetFile[]>(row.files),
    schema: fromJson<DatasetColumn[]>(row.columns),
    ...(row.profile === null ? {} : { profile: fromJson<DatasetColumnProfile[]>(row.profile) }),
  };
}
