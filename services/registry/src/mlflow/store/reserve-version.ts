/**
 * Registering by a client of MLflow, first half: the version gets its id, its number and its files in one transaction, and
 * waits for its package, where it has files. The second half is packager.ts.
 */
import { AssayError } from '@assay/contracts';
import { newId } from '@assay/runtime';
import { type Actor, change, type Store } from '../../store/change.ts';
import { requireModel } from '../../store/models.ts';
import type { Queryable } from '../../store/tables.ts';
import { addVersion, requireVersion } from '../../store/versions.ts';
import { pathOfUri } from '../artifact-path.ts';
import { invalid } from '../errors.ts';
import { NO_FILES, unservableVersion } from '../unservable-version.ts';
import { keepForVersion } from './artifacts.ts';
import type { MlflowVersionsTable } from './mlflow-tables.ts';
import { versionRoot } from './version-files.ts';

export interface VersionRequest {
  readonly name: string;
  readonly source: string;
  readonly runId: string | undefined;
  readonly runLink: string;
  readonly loggedModelId: string | undefined;
  readonly description: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** @throws AssayError NOT_FOUND (model, run, logged model); INVALID_ARGUMENT for a source that can be none */
export function reserveVersion(store: Store, actor: Actor, request: VersionRequest): Promise<MlflowVersionsTable> {
  return change(store, actor, async (change) => {
    const { trx } = change;
    const model = await requireModel(trx, request.name);
    const folder = await folderOf(trx, request);
    const row: MlflowVersionsTable = {
      version_id: newId('ver'),
      model_id: model.id,
      version: model.last_version + 1,
      source: request.source,
      run_id: request.runId ?? null,
      run_link: request.runLink,
      logged_model_id: request.loggedModelId ?? /^models:\/(m-[0-9a-f]{32})$/.exec(request.source)?.[1] ?? null,
      description: request.description,
      tags: JSON.stringify(request.tags),
      principal: actor.principal,
      key_id: actor.keyId,
      request_id: actor.requestId,
      traceparent: actor.traceparent,
      created_at: change.at,
      is_pending: 1,
    };
    await trx.insertInto('mlflow_versions').values(row).execute();
    await trx.updateTable('models').set({ last_version: row.version }).where('id', '=', model.id).execute();
    if (folder !== undefined) {
      await keepForVersion(trx, folder, row.version_id);
      return row;
    }
    // No package can be made of what is elsewhere: nothing to wait for.
    const { description, tags } = request;
    const reserved = { id: row.version_id, version: row.version };
    await addVersion(change, model, { ...unservableVersion(NO_FILES), description, tags, reserved });
    return { ...row, is_pending: 0 };
  });
}

/** Whether it still waits for its package. */
export async function isPending(db: Queryable, versionId: string): Promise<boolean> {
  const row = await db
    .selectFrom('mlflow_versions')
    .select('is_pending')
    .where('version_id', '=', versionId)
    .executeTakeFirst();
  return row?.is_pending === 1;
}

/** The oldest that wait. */
export function pendingVersions(db: Queryable, limit: number): Promise<MlflowVersionsTable[]> {
  return db
    .selectFrom('mlflow_versions')
    .selectAll()
    .where('is_pending', '=', 1)
    .orderBy('created_at')
    .limit(limit)
    .execute();
}

/** The folder of artifacts that a source names; undefined where its files are elsewhere. */
async function folderOf(db: Queryable, { source, runId }: VersionRequest): Promise<string | undefined> {
  if (/(^|[\\/])\.\.([\\/]|$)|%2e|\0/i.test(source))
    throw invalid('source', `${JSON.stringify(source)} leaves its folder`);
  const artifacts = pathOfUri(source);
  if (artifacts !== undefined) {
    if (runId !== undefined) await checkOfRun(db, artifacts, runId);
    return artifacts;
  }
  const run = /^runs:\/([^/]+)\/(.+)$/.exec(source);
  if (run !== null) return pathOfUri(`${(await requireRun(db, run[1] ?? '')).artifact_uri}/${run[2]}`);
  const logged = /^models:\/(m-[0-9a-f]{32})$/.exec(source)?.[1];
  if (logged !== undefined) return loggedModelFolder(db, logged);
  const version = /^models:\/([^/@]+)\/([1-9]\d*)$/.exec(source);
  if (version !== null) {
    const model = await requireModel(db, version[1] ?? '');
    return versionRoot((await requireVersion(db, model, Number(version[2]))).id);
  }
  if (/^file:/i.test(source) || source.startsWith('/') || source.startsWith('.')) {
    throw invalid(
      'source',
      `${JSON.stringify(source)} is a file of some machine`,
      'what was logged here, as mlflow-artifacts:/…',
    );
  }
  return undefined;
}

async function loggedModelFolder(db: Queryable, id: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('mlflow_logged_models')
    .select('artifact_uri')
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) throw new AssayError('NOT_FOUND', `there is no logged model "${id}"`);
  return pathOfUri(row.artifact_uri);
}

async function checkOfRun(db: Queryable, path: string, runId: string): Promise<void> {
  const run = await requireRun(db, runId);
  const ofRun = pathOfUri(run.artifact_uri);
  if (path === ofRun || path.startsWith(`${ofRun}/`) || path.startsWith(`${run.experiment_id}/models/`)) return;
  throw invalid('source', `"${path}" is not of the run ${runId}`, `a folder under ${run.artifact_uri}`);
}

async function requireRun(db: Queryable, id: string): Promise<{ artifact_uri: string; experiment_id: string }> {
  const run = await db
    .selectFrom('mlflow_runs')
    .select(['artifact_uri', 'experiment_id'])
    .where('id', '=', id)
    .executeTakeFirst();
  if (run === undefined) throw new AssayError('NOT_FOUND', `there is no run "${id}"`);
  return run;
}
