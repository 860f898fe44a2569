/** Taking back that a model or a version was deleted, as long as its rows are there. Aliases do not come back: who moves one decides anew. */
import { AssayError, type Model, type Version } from '@assay/contracts';
import { looksLikeId, shownName } from '../domain/names.ts';
import { type Actor, type Change, change, type Store } from './change.ts';
import { type ModelRow, modelChanged, refuseTakenName, requireDeletedModel, requireModel, toModel } from './models.ts';
import type { VersionsTable } from './tables.ts';
import { toVersion } from './versions.ts';

/** @throws AssayError NOT_FOUND where no such version of the model is deleted */
export function restoreVersion(
  store: Store,
  actor: Actor,
  modelNameOrId: string,
  numberOrId: string,
): Promise<Version> {
  return change(store, actor, async (change) => {
    const model = await requireModel(change.trx, modelNameOrId);
    const query = change.trx
      .selectFrom('versions')
      .selectAll()
      .where('model_id', '=', model.id)
      .where('deleted_at', 'is not', null);
    const row = await (looksLikeId(numberOrId, 'ver')
      ? query.where('id', '=', numberOrId)
      : query.where('version', '=', Number(numberOrId) || 0)
    ).executeTakeFirst();
    if (row === undefined) {
      throw new AssayError(
        'NOT_FOUND',
        `model ${model.name} has no deleted version ${numberOrId}; GET /v1/models/${model.name}/versions?deleted=true lists them`,
      );
    }
    const version = await bringBack(change, model, row);
    await modelChanged(change, model.id, 'assay.model.version-restored.v1');
    return version;
  });
}

/**
 * With the versions that were deleted with it; those that were deleted before stay so.
 * @throws AssayError NOT_FOUND; ALREADY_EXISTS where its name was given away
 */
export function restoreModel(store: Store, actor: Actor, nameOrId: string): Promise<Model> {
  return change(store, actor, async (change) => {
    const deleted = await requireDeletedModel(change.trx, nameOrId);
    const name = shownName(deleted.name);
    await refuseTakenName(change.trx, name, deleted.id);
    const versions = await change.trx
      .selectFrom('versions')
      .selectAll()
      .where('model_id', '=', deleted.id)
      .where('deleted_at', '=', deleted.deleted_at)
      .orderBy('version')
      .execute();
    const row = await change.trx
      .updateTable('models')
      .set({ name, deleted_at: null, revision: deleted.revision + 1, updated_at: change.at })
      .where('id', '=', deleted.id)
      .returningAll()
      .executeTakeFirstOrThrow();
    for (const version of versions) await bringBack(change, row, version);
    change.record('model.restore', `model/${row.id}`, { name, versions: versions.length });
    const model = await toModel(change.trx, row);
    change.announce('assay.model.restored.v1', row.id, row.revision, model);
    return model;
  });
}

async function bringBack(change: Change, model: ModelRow, row: VersionsTable): Promise<Version> {
  const restored = await change.trx
    .updateTable('versions')
    .set({ deleted_at: null, updated_at: change.at, revision: row.revision + 1 })
    .where('id', '=', row.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  const { digest, version } = row;
  change.record('version.restore', `version/${row.id}`, { modelName: model.name, version, digest });
  const shown = await toVersion(change.trx, restored, model.name);
  change.announce('assay.version.restored.v1', row.id, restored.revision, shown);
  return shown;
}
