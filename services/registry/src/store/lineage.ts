/** Lineage as it is asked for: of a version, and of a dataset version. */
import { AssayError, type DatasetLineage, type LineageInput, type VersionLineage } from '@assay/contracts';
import {
  contextOf,
  lineageOrigin,
  MAX_LINEAGE_ITEMS,
  type RunDataset,
  registeredDigest,
  versionLineage,
} from '../domain/version-lineage.ts';
import { ancestorsOf, datasetsOfDigest, datasetsOfFile, descendantsOf } from './dataset-lineage.ts';
import { requireDatasetVersionId } from './datasets.ts';
import { fedBy } from './fed-versions.ts';
import { childrenOf, readVersions, versionsOfDigest } from './lineage-versions.ts';
import { requireModel } from './models.ts';
import { readRunLineage } from './run-lineage.ts';
import { fromJson, type Queryable, type VersionInputsTable } from './tables.ts';
import { readOrigin, unreadVersions } from './version-origin.ts';
import { aliasUses, endpointUses } from './version-uses.ts';
import { requireVersion } from './versions.ts';

/** So many of those that have the same digest are named. */
const MAX_OF_A_DIGEST = 5;
const ONE_MORE = MAX_LINEAGE_ITEMS + 1;

/** @throws AssayError NOT_FOUND */
export async function readVersionLineage(
  db: Queryable,
  modelNameOrId: string,
  numberOrId: string,
): Promise<VersionLineage> {
  const model = await requireModel(db, modelNameOrId);
  const row = await requireVersion(db, model, numberOrId);
  const version = (await readVersions(db, [row.id])).get(row.id);
  if (version === undefined) throw new AssayError('INTERNAL', `version ${row.id} was read and is not there`);
  const { told, runId, isRead } = await readOrigin(db, row.id);
  const run = runId === null ? undefined : await readRunLineage(db, runId, ONE_MORE);
  const inputs = [
    ...(await packageInputs(db, row.id)),
    ...(await Promise.all((run?.datasets ?? []).map((dataset) => runInput(db, dataset)))),
  ];
  return versionLineage({
    version,
    origin: lineageOrigin(told, run, fromJson<Record<string, string>>(row.tags)),
    inputs,
    parents: await parentsOf(db, row.id),
    children: await childrenOf(db, row.digest, ONE_MORE),
    aliases: await aliasUses(db, row.id, MAX_LINEAGE_ITEMS),
    endpoints: await endpointUses(db, row.id, MAX_LINEAGE_ITEMS),
    datasets: await ancestorsOf(
      db,
      inputs.slice(0, MAX_LINEAGE_ITEMS).flatMap(({ datasets }) => datasets),
    ),
    isRead,
  });
}

/**
 * @param version a number, or `latest`
 * @param page of the versions that it fed
 * @throws AssayError NOT_FOUND
 */
export async function readDatasetLineage(
  db: Queryable,
  name: string,
  version: string,
  page: { readonly after?: string; readonly limit: number },
): Promise<DatasetLineage> {
  const id = await requireDatasetVersionId(db, name, version);
  const ancestors = await ancestorsOf(db, [id]);
  const descendants = await descendantsOf(db, id);
  const [dataset] = ancestors.nodes;
  if (dataset === undefined) throw new AssayError('INTERNAL', `dataset version ${id} was read and is not there`);
  const fed = await fedBy(
    db,
    descendants.nodes.map((node) => node.id),
    page,
  );
  return {
    dataset,
    ancestors: ancestors.nodes.slice(1),
    descendants: descendants.nodes.slice(1),
    ...fed,
    truncated: ancestors.truncated || descendants.truncated,
    unread: (await unreadVersions(db, 1)).length > 0,
  };
}

function inputRows(
  db: Queryable,
  versionId: string,
  kind: VersionInputsTable['kind'],
): Promise<Pick<VersionInputsTable, 'digest' | 'named_id'>[]> {
  return db
    .selectFrom('version_inputs')
    .select(['digest', 'named_id'])
    .where('version_id', '=', versionId)
    .where('kind', '=', kind)
    .orderBy('digest')
    .limit(ONE_MORE)
    .execute();
}

async function packageInputs(db: Queryable, versionId: string): Promise<LineageInput[]> {
  const tables = await inputRows(db, versionId, 'dataset');
  const files = await inputRows(db, versionId, 'file');
  return Promise.all([
    ...tables.map(async ({ digest, named_id }): Promise<LineageInput> => {
      const datasets = await datasetsOfDigest(db, digest, MAX_OF_A_DIGEST);
      const named = named_id !== null && (await hasDigest(db, named_id, digest)) ? [named_id] : datasets;
      return { kind: 'dataset', digest, toldBy: 'package', datasets: named };
    }),
    ...files.map(async ({ digest }): Promise<LineageInput> => {
      const datasets = await datasetsOfFile(db, digest, MAX_OF_A_DIGEST);
      return { kind: 'file', digest, toldBy: 'package', datasets };
    }),
  ]);
}

/** What a package names and what it says of it must agree. */
async function hasDigest(db: Queryable, datasetVersionId: string, digest: string): Promise<boolean> {
  const row = await db
    .selectFrom('dataset_versions')
    .select('digest')
    .where('id', '=', datasetVersionId)
    .executeTakeFirst();
  return row?.digest === digest;
}

async function runInput(db: Queryable, { name, digest, tags }: RunDataset): Promise<LineageInput> {
  const known = registeredDigest(digest);
  const context = contextOf(tags);
  const datasets =
    known === undefined
      ? []
      : [
          ...(await datasetsOfDigest(db, known, MAX_OF_A_DIGEST)),
          ...(await datasetsOfFile(db, known, MAX_OF_A_DIGEST)),
        ];
  return {
    ...{ kind: 'dataset', digest, toldBy: 'run', name },
    ...(context === undefined ? {} : { context }),
    datasets: [...new Set(datasets)],
  };
}

async function parentsOf(db: Queryable, versionId: string): Promise<VersionLineage['parents']> {
  const rows = await inputRows(db, versionId, 'version');
  return Promise.all(
    rows.map(async ({ digest }) => ({ digest, versions: await versionsOfDigest(db, digest, MAX_OF_A_DIGEST) })),
  );
}
