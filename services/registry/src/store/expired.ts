/**
 * What was deleted so long ago that it is kept no longer. A run or a logged model stays as long as a version that stays was
 * made from it: lineage tells of it.
 */
import type { CollectedRow } from '@assay/contracts';
import { type RawBuilder, sql } from 'kysely';
import { shownName } from '../domain/names.ts';
import { pathOfUri } from '../mlflow/artifact-path.ts';
import { versionRoot } from '../mlflow/store/version-files.ts';
import type { Queryable } from './tables.ts';

/** A row that goes, and the folder of artifacts that goes with it. */
export interface ExpiredRow extends CollectedRow {
  readonly folder?: string;
}

/** In the order in which they can go. */
export async function* expiredRows(db: Queryable, before: number): AsyncGenerator<ExpiredRow> {
  yield* await expiredVersions(db, before);
  yield* await expiredModels(db, before);
  yield* await expiredDatasetVersions(db, before);
  yield* await expiredRuns(db, before);
  yield* await expiredLoggedModels(db, before);
  yield* await expiredExperiments(db, before);
}

/** Whether one that was listed before is still to go: it may have been restored meanwhile. */
export async function isExpired(db: Queryable, { kind, id }: ExpiredRow, before: number): Promise<boolean> {
  const found = await READERS[kind](db, before, id);
  return found.length > 0;
}

async function expiredVersions(db: Queryable, before: number, id?: string): Promise<ExpiredRow[]> {
  let query = db
    .selectFrom('versions')
    .innerJoin('models', 'models.id', 'versions.model_id')
    .select(['versions.id', 'versions.version', 'versions.deleted_at', 'models.name'])
    .where('versions.deleted_at', '<=', before);
  if (id !== undefined) query = query.where('versions.id', '=', id);
  return (await query.orderBy('versions.id').execute()).map((row) => ({
    ...{ kind: 'version', id: row.id, name: `${shownName(row.name)} ${row.version}` },
    ...{ deletedAt: row.deleted_at ?? before, folder: versionRoot(row.id) },
  }));
}

async function expiredModels(db: Queryable, before: number, id?: string): Promise<ExpiredRow[]> {
  let query = db.selectFrom('models').select(['id', 'name', 'deleted_at']).where('deleted_at', '<=', before);
  if (id !== undefined) query = query.where('id', '=', id);
  return (await query.orderBy('id').execute()).map((row) => ({
    ...{ kind: 'model', id: row.id, name: shownName(row.name), deletedAt: row.deleted_at ?? before },
  }));
}

async function expiredDatasetVersions(db: Queryable, before: number, id?: string): Promise<ExpiredRow[]> {
  let query = db
    .selectFrom('dataset_versions')
    .innerJoin('datasets', 'datasets.id', 'dataset_versions.dataset_id')
    .select(['dataset_versions.id', 'dataset_versions.version', 'dataset_versions.deleted_at', 'datasets.name'])
    .where('dataset_versions.deleted_at', '<=', before);
  if (id !== undefined) query = query.where('dataset_versions.id', '=', id);
  return (await query.orderBy('dataset_versions.id').execute()).map((row) => ({
    ...{ kind: 'dataset-version', id: row.id, name: `${row.name} ${row.version}`, deletedAt: row.deleted_at ?? before },
  }));
}

async function expiredRuns(db: Queryable, before: number, id?: string): Promise<ExpiredRow[]> {
  let query = db
    .selectFrom('mlflow_runs')
    .select(['id', 'name', 'artifact_uri', 'deleted_at'])
    .where('deleted_at', '<=', before)
    .where(sql<boolean>`not ${isNeededRun('mlflow_runs.id', before)}`);
  if (id !== undefined) query = query.where('id', '=', id);
  return (await query.orderBy('id').execute()).map((row) => ({
    ...{ kind: 'run', id: row.id, name: row.name, deletedAt: row.deleted_at ?? before },
    ...folderAbove(row.artifact_uri),
  }));
}

async function expiredLoggedModels(db: Queryable, before: number, id?: string): Promise<ExpiredRow[]> {
  let query = db
    .selectFrom('mlflow_logged_models as l')
    .innerJoin('mlflow_experiments as e', 'e.id', 'l.experiment_id')
    .select(['l.id', 'l.name', 'l.artifact_uri', 'l.deleted_at', 'e.deleted_at as gone_at'])
    .where((eb) => eb.or([eb('l.deleted_at', '<=', before), eb('e.deleted_at', '<=', before)]))
    .where(sql<boolean>`not ${isNeededLoggedModel('l.id', before)}`);
  if (id !== undefined) query = query.where('l.id', '=', id);
  return (await query.orderBy('l.id').execute()).map((row) => ({
    ...{ kind: 'logged-model', id: row.id, name: row.name, deletedAt: row.deleted_at ?? row.gone_at ?? before },
    ...folderAbove(row.artifact_uri),
  }));
}

async function expiredExperiments(db: Queryable, before: number, id?: string): Promise<ExpiredRow[]> {
  const goes = sql<boolean>`not (
    exists (select 1 from mlflow_runs r where r.experiment_id = mlflow_experiments.id
      and (r.deleted_at is null or r.deleted_at > ${before} or ${isNeededRun('r.id', before)}))
    or exists (select 1 from mlflow_logged_models g where g.experiment_id = mlflow_experiments.id
      and ${isNeededLoggedModel('g.id', before)}))`;
  let query = db
    .selectFrom('mlflow_experiments')
    .select(['id', 'name', 'deleted_at'])
    .where('deleted_at', '<=', before)
    .where(goes);
  if (id !== undefined) query = query.where('id', '=', id);
  return (await query.orderBy('id').execute()).map((row) => ({
    ...{ kind: 'experiment', id: row.id, name: row.name, deletedAt: row.deleted_at ?? before },
  }));
}

const READERS = {
  version: expiredVersions,
  model: expiredModels,
  'dataset-version': expiredDatasetVersions,
  run: expiredRuns,
  'logged-model': expiredLoggedModels,
  experiment: expiredExperiments,
} as const;

function isNeededRun(id: string, before: number): RawBuilder<boolean> {
  return sql<boolean>`(
    exists (select 1 from version_lineage w join versions v on v.id = w.version_id
      where w.run_id = ${sql.ref(id)} and (v.deleted_at is null or v.deleted_at > ${before}))
    or exists (select 1 from mlflow_versions o where o.run_id = ${sql.ref(id)} and o.is_pending = 1))`;
}

function isNeededLoggedModel(id: string, before: number): RawBuilder<boolean> {
  return sql<boolean>`exists (select 1 from mlflow_versions o left join versions v on v.id = o.version_id
    where o.logged_model_id = ${sql.ref(id)} and (o.is_pending = 1 or v.deleted_at is null or v.deleted_at > ${before}))`;
}

/** The artifacts of a run are in `…/RUN/artifacts`: all of `…/RUN` is its own. */
function folderAbove(artifactUri: string): { readonly folder?: string } {
  const folder = pathOfUri(artifactUri)?.replace(/\/artifacts$/, '');
  return folder === undefined || folder === '' ? {} : { folder };
}
