/** Deleting models and versions: soft, and never what somebody needs. Their ids and numbers stay taken. */
import { nameOnceDeleted } from '../domain/names.ts';
import { forgetFolder } from '../mlflow/store/artifacts.ts';
import { versionRoot } from '../mlflow/store/version-files.ts';
import { type Actor, type Change, change, type Store } from './change.ts';
import { refuseGated } from './gate-rows.ts';
import { type ModelRow, modelChanged, requireModel, toModel } from './models.ts';
import { refuseNeededVersions } from './needs.ts';
import { checkRevision } from './stale.ts';
import type { VersionsTable } from './tables.ts';
import { aliasUsed } from './version-uses.ts';
import { requireVersion, toVersion } from './versions.ts';

/**
 * @param aliases `need it`: a version that one points at is refused; `go with it`: they are deleted with it, as MLflow does
 * @throws AssayError NOT_FOUND; FAILED_PRECONDITION with who needs it
 */
export function deleteVersion(
  store: Store,
  actor: Actor,
  modelNameOrId: string,
  numberOrId: number | string,
  aliases: 'go with it' | 'need it',
): Promise<void> {
  return change(store, actor, async (change) => {
    const model = await requireModel(change.trx, modelNameOrId);
    if (await forgetPending(change, model, numberOrId)) return;
    const row = await requireVersion(change.trx, model, numberOrId);
    const what = `version ${row.version} of ${model.name}`;
    await refuseNeededVersions(change.trx, { what, versions: [row] }, aliases);
    await removeVersion(change, model, row);
    await modelChanged(change, model.id, 'assay.model.version-deleted.v1');
  });
}

/**
 * The model with its versions and aliases. Its name is free afterwards, and versions of another model of that name begin
 * at 1 again.
 * @param expectedRevision absent: whatever it is
 * @throws AssayError NOT_FOUND, STALE_REVISION; FAILED_PRECONDITION with who needs one of its versions, or for one
 *   that has gates
 */
export function deleteModel(
  store: Store,
  actor: Actor,
  nameOrId: string,
  expectedRevision: number | undefined,
): Promise<void> {
  return change(store, actor, async (change) => {
    const model = await requireModel(change.trx, nameOrId);
    checkRevision({
      what: `model ${model.name}`,
      expectedRevision: expectedRevision ?? model.revision,
      currentRevision: model.revision,
      last: { at: model.updated_at, state: `called ${model.name}, with ${model.last_version} versions` },
    });
    const rows = await change.trx
      .selectFrom('versions')
      .selectAll()
      .where('model_id', '=', model.id)
      .where('deleted_at', 'is', null)
      .orderBy('version')
      .execute();
    await refuseNeededVersions(change.trx, { what: `model ${model.name}`, versions: rows }, 'go with it');
    await refuseGated(change.trx, model, 'delete it');
    await forgetPending(change, model);
    for (const row of rows) await removeVersion(change, model, row);
    const row = await change.trx
      .updateTable('models')
      .set({
        name: nameOnceDeleted(model.id, model.name),
        deleted_at: change.at,
        revision: model.revision + 1,
        updated_at: change.at,
      })
      .where('id', '=', model.id)
      .returningAll()
      .executeTakeFirstOrThrow();
    change.record('model.delete', `model/${model.id}`, { name: model.name, versions: rows.length });
    change.announce('assay.model.deleted.v1', model.id, row.revision, await toModel(change.trx, row));
  });
}

/** A version that a client of MLflow has registered, and that waits for its package, is no version yet. Without a number, all. */
async function forgetPending({ trx }: Change, model: ModelRow, numberOrId?: number | string): Promise<boolean> {
  let query = trx.deleteFrom('mlflow_versions').where('model_id', '=', model.id).where('is_pending', '=', 1);
  if (typeof numberOrId === 'number') query = query.where('version', '=', numberOrId);
  if (typeof numberOrId === 'string') query = query.where('version_id', '=', numberOrId);
  const rows = await query.returning('version_id').execute();
  for (const { version_id: id } of rows) await forgetFolder(trx, versionRoot(id));
  return rows.length > 0;
}

async function removeVersion(change: Change, model: ModelRow, row: VersionsTable): Promise<void> {
  const aliases = await change.trx
    .selectFrom('aliases')
    .selectAll()
    .where('version_id', '=', row.id)
    .orderBy('alias')
    .execute();
  for (const { alias, revision } of aliases) {
    await change.trx
      .updateTable('aliases')
      .set({ version_id: null, revision: revision + 1, moved_at: change.at, moved_by: change.actor.principal })
      .where('model_id', '=', model.id)
      .where('alias', '=', alias)
      .execute();
    await aliasUsed(change, { modelId: model.id, alias, revision: revision + 1 }, null);
    const details = { modelName: model.name, alias, revision: revision + 1, from: row.id };
    change.record('alias.delete', `model/${model.id}`, details);
  }
  const deleted = await change.trx
    .updateTable('versions')
    .set({ deleted_at: change.at, updated_at: change.at, revision: row.revision + 1 })
    .where('id', '=', row.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  const { digest, version } = row;
  change.record('version.delete', `version/${row.id}`, { modelName: model.name, version, digest });
  change.announce(
    'assay.version.deleted.v1',
    row.id,
    deleted.revision,
    await toVersion(change.trx, deleted, model.name),
  );
}
