/** How versions were made, as rows: written with the version, and asked for from both ends. */
import { UNKNOWN_ORIGIN, type VersionOrigin } from '../domain/version-origin.ts';
import { fromJson, type Queryable, type VersionsTable } from './tables.ts';

const ROWS = 200;

/** In the change that makes the version; again with the same, it changes nothing. */
export async function keepOrigin(
  trx: Queryable,
  version: Pick<VersionsTable, 'id'>,
  { told, inputs }: VersionOrigin,
): Promise<void> {
  const ofMlflow = await mlflowOriginOf(trx, version.id);
  const row = { version_id: version.id, run_id: ofMlflow.runId, origin: JSON.stringify(told), is_read: 1 };
  await trx
    .insertInto('version_lineage')
    .values(row)
    .onConflict((conflict) => conflict.column('version_id').doUpdateSet(row))
    .execute();
  const all = [
    ...inputs,
    ...(ofMlflow.copyOf === undefined ? [] : [{ kind: 'version' as const, digest: ofMlflow.copyOf }]),
  ];
  const rows = all.map(({ kind, digest, namedId = null }) => ({
    ...{ version_id: version.id, kind, digest, named_id: namedId },
  }));
  for (let i = 0; i < rows.length; i += ROWS) {
    await trx
      .insertInto('version_inputs')
      .values(rows.slice(i, i + ROWS))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

/** The run that logged what a client of MLflow registered, and the digest of the version that was copied. */
async function mlflowOriginOf(
  trx: Queryable,
  versionId: string,
): Promise<{ readonly runId: string | null; readonly copyOf?: string }> {
  const registered = await trx
    .selectFrom('mlflow_versions')
    .leftJoin('mlflow_logged_models', 'mlflow_logged_models.id', 'mlflow_versions.logged_model_id')
    .select(['mlflow_versions.source', 'mlflow_versions.run_id', 'mlflow_logged_models.source_run_id'])
    .where('mlflow_versions.version_id', '=', versionId)
    .executeTakeFirst();
  if (registered === undefined) return { runId: null };
  const runId = registered.run_id ?? registered.source_run_id;
  const [, name, number] = /^models:\/([^/@]+)\/([1-9]\d{0,14})$/.exec(registered.source) ?? [];
  if (name === undefined) return { runId };
  const copied = await trx
    .selectFrom('versions')
    .innerJoin('models', 'models.id', 'versions.model_id')
    .select('versions.digest')
    .where('models.name', '=', name)
    .where('versions.version', '=', Number(number))
    .executeTakeFirst();
  return copied === undefined ? { runId } : { runId, copyOf: copied.digest };
}

export interface KeptOrigin {
  readonly runId: string | null;
  readonly told: VersionOrigin['told'];
  readonly isRead: boolean;
}

export async function readOrigin(db: Queryable, versionId: string): Promise<KeptOrigin> {
  const row = await db.selectFrom('version_lineage').selectAll().where('version_id', '=', versionId).executeTakeFirst();
  if (row === undefined || row.is_read === 0) return { runId: null, told: UNKNOWN_ORIGIN.told, isRead: false };
  return { runId: row.run_id, told: fromJson<VersionOrigin['told']>(row.origin), isRead: true };
}

/** Versions whose packages an older Assay registered, and nobody has read for their lineage yet; by id. */
export function unreadVersions(db: Queryable, limit: number): Promise<Pick<VersionsTable, 'id' | 'files'>[]> {
  return db
    .selectFrom('version_lineage')
    .innerJoin('versions', 'versions.id', 'version_lineage.version_id')
    .select(['versions.id', 'versions.files'])
    .where('version_lineage.is_read', '=', 0)
    .orderBy('version_lineage.version_id')
    .limit(limit)
    .execute();
}
