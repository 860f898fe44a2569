/** Which datasets were made from which, and which hold a file: asked from both ends, by indexes. */
import {
  type CreateDatasetVersion,
  type LineageDataset,
  MAX_LINEAGE_DATASETS,
  MAX_LINEAGE_DEPTH,
} from '@assay/contracts';
import type { About } from '../domain/dataset-rules.ts';
import { type Walk, walk } from '../domain/lineage-walk.ts';
import { fromJson, type Queryable } from './tables.ts';

const LIMITS = { maxDepth: MAX_LINEAGE_DEPTH, maxNodes: MAX_LINEAGE_DATASETS };
const ROWS = 200;

/** In the change that makes the dataset version. */
export async function keepDatasetLineage(
  trx: Queryable,
  id: string,
  { files, parents = [] }: Pick<CreateDatasetVersion, 'files' | 'parents'>,
): Promise<void> {
  const contents = [...new Set(files.map(({ sha256 }) => sha256))];
  for (let i = 0; i < contents.length; i += ROWS) {
    const rows = contents.slice(i, i + ROWS).map((sha256) => ({ sha256, dataset_version_id: id }));
    await trx.insertInto('dataset_files').values(rows).execute();
  }
  for (let i = 0; i < parents.length; i += ROWS) {
    const rows = parents.slice(i, i + ROWS).map((parent) => ({ child_id: id, parent_id: parent }));
    await trx.insertInto('dataset_parents').values(rows).execute();
  }
}

/** The dataset versions with these ids, what they were made from, and what that was made from. */
export function ancestorsOf(db: Queryable, ids: readonly string[]): Promise<Walk<LineageDataset>> {
  const onward = (nodes: readonly LineageDataset[]) => nodes.flatMap(({ parents }) => parents);
  return walk(ids, { read: (some) => readDatasets(db, some), onward }, LIMITS);
}

/** The dataset version, what was made from it, and what from that. */
export function descendantsOf(db: Queryable, id: string): Promise<Walk<LineageDataset>> {
  return walk(
    [id],
    {
      read: (ids) => readDatasets(db, ids),
      async onward(nodes, limit) {
        const rows = await db
          .selectFrom('dataset_parents')
          .select('child_id')
          .distinct()
          .where(
            'parent_id',
            'in',
            nodes.map((node) => node.id),
          )
          .limit(limit)
          .execute();
        return rows.map(({ child_id }) => child_id);
      },
    },
    LIMITS,
  );
}

async function readDatasets(db: Queryable, ids: readonly string[]): Promise<LineageDataset[]> {
  if (ids.length === 0) return [];
  const rows = await db
    .selectFrom('dataset_versions')
    .innerJoin('datasets', 'datasets.id', 'dataset_versions.dataset_id')
    .select([
      'dataset_versions.id',
      'datasets.name',
      'dataset_versions.version',
      'dataset_versions.digest',
      'dataset_versions.about',
      'dataset_versions.created_at',
      'dataset_versions.created_by',
    ])
    .where('dataset_versions.id', 'in', ids)
    .execute();
  return rows.map(({ id, name, version, digest, about, created_at, created_by }) => {
    const { layer, owner, licence, personalData, parents } = fromJson<About>(about);
    return {
      ...{ id, name, version, digest, layer, owner, licence, personalData, parents },
      ...{ createdAt: created_at, createdBy: created_by },
    };
  });
}

/** The newest dataset versions whose digest is, or begins with, this one. */
export async function datasetsOfDigest(db: Queryable, digest: string, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('dataset_versions')
    .select('id')
    .where('digest', '>=', digest)
    .where('digest', '<', `${digest}g`) // after every hex digit
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}

/** The newest dataset versions that hold a file of this content, or of one that begins so. */
export async function datasetsOfFile(db: Queryable, sha256: string, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('dataset_files')
    .select('dataset_version_id')
    .distinct()
    .where('sha256', '>=', sha256)
    .where('sha256', '<', `${sha256}g`)
    .orderBy('dataset_version_id', 'desc')
    .limit(limit)
    .execute();
  return rows.map(({ dataset_version_id }) => dataset_version_id);
}
