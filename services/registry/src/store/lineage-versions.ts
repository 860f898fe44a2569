/** Versions as lineage names them, deleted ones too. */
import type { LineageVersion } from '@assay/contracts';
import { shownName } from '../domain/names.ts';
import type { Queryable } from './tables.ts';

function selectVersions(db: Queryable) {
  return db
    .selectFrom('versions')
    .innerJoin('models', 'models.id', 'versions.model_id')
    .select([
      'versions.id',
      'versions.model_id',
      'models.name',
      'versions.version',
      'versions.digest',
      'versions.created_at',
      'versions.created_by',
      'versions.deleted_at',
    ]);
}

/** By id. */
export async function readVersions(db: Queryable, ids: readonly string[]): Promise<Map<string, LineageVersion>> {
  if (ids.length === 0) return new Map();
  const rows = await selectVersions(db)
    .where('versions.id', 'in', [...new Set(ids)])
    .execute();
  return new Map(rows.map((row) => [row.id, lineageVersionOf(row)]));
}

/** The newest versions with this digest. */
export async function versionsOfDigest(db: Queryable, digest: string, limit: number): Promise<LineageVersion[]> {
  const rows = await selectVersions(db)
    .where('versions.digest', '=', digest)
    .orderBy('versions.id', 'desc')
    .limit(limit)
    .execute();
  return rows.map(lineageVersionOf);
}

/** The newest versions that say that they were made from one with this digest. */
export async function childrenOf(db: Queryable, digest: string, limit: number): Promise<LineageVersion[]> {
  const rows = await selectVersions(db)
    .innerJoin('version_inputs', 'version_inputs.version_id', 'versions.id')
    .where('version_inputs.kind', '=', 'version')
    .where('version_inputs.digest', '=', digest)
    .orderBy('version_inputs.version_id', 'desc')
    .limit(limit)
    .execute();
  return rows.map(lineageVersionOf);
}

function lineageVersionOf(row: {
  readonly id: string;
  readonly model_id: string;
  readonly name: string;
  readonly version: number;
  readonly digest: string;
  readonly created_at: number;
  readonly created_by: string;
  readonly deleted_at: number | null;
}): LineageVersion {
  return {
    id: row.id,
    modelId: row.model_id,
    modelName: shownName(row.name),
    version: row.version,
    digest: row.digest,
    createdAt: row.created_at,
    createdBy: row.created_by,
    isDeleted: row.deleted_at !== null,
  };
}
