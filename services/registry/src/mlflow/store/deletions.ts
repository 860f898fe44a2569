/** Deleting models and versions: soft, and never what an endpoint serves. */
import { AssayError, type Variant } from '@assay/contracts';
import { type Actor, type Change, change, type Store } from '../../store/change.ts';
import { type ModelRow, modelChanged, requireModel } from '../../store/models.ts';
import { fromJson, type Queryable, type VersionsTable } from '../../store/tables.ts';
import { aliasUsed } from '../../store/version-uses.ts';
import { requireVersion, toVersion } from '../../store/versions.ts';
import { parseVersionNumber } from './model-versions.ts';

/** @throws AssayError NOT_FOUND; FAILED_PRECONDITION while an endpoint serves it */
export function deleteVersion(store: Store, actor: Actor, name: string, version: string): Promise<void> {
  return change(store, actor, async (change) => {
    const model = await requireModel(change.trx, name);
    const number = parseVersionNumber(version);
    const pending = await change.trx
      .deleteFrom('mlflow_versions')
      .where('model_id', '=', model.id)
      .where('version', '=', number)
      .where('is_pending', '=', 1)
      .executeTakeFirstOrThrow();
    if (pending.numDeletedRows > 0n) return;
    const row = await requireVersion(change.trx, model, number);
    await refuseServed(change.trx, [row], model);
    await removeVersion(change, model, row);
    await modelChanged(change, model.id, 'assay.model.version-deleted.v1');
  });
}

/**
 * The model with its versions and aliases. Its name is free afterwards, and versions of another model of that name begin
 * at 1 again; the ids stay taken.
 * @throws AssayError NOT_FOUND; FAILED_PRECONDITION while an endpoint serves one of its versions
 */
export function deleteModel(store: Store, actor: Actor, name: string): Promise<void> {
  return change(store, actor, async (change) => {
    const model = await requireModel(change.trx, name);
    const rows = await change.trx
      .selectFrom('versions')
      .selectAll()
      .where('model_id', '=', model.id)
      .where('deleted_at', 'is', null)
      .orderBy('version')
      .execute();
    await refuseServed(change.trx, rows, model);
    await change.trx
      .deleteFrom('mlflow_versions')
      .where('model_id', '=', model.id)
      .where('is_pending', '=', 1)
      .execute();
    for (const row of rows) await removeVersion(change, model, row);
    const row = await change.trx
      .updateTable('models')
      .set({
        name: `~${model.id}/${model.name}`,
        deleted_at: change.at,
        revision: model.revision + 1,
        updated_at: change.at,
      })
      .where('id', '=', model.id)
      .returningAll()
      .executeTakeFirstOrThrow();
    await change.trx.deleteFrom('model_tags').where('model_id', '=', model.id).execute();
    change.record('model.delete', `model/${model.id}`, { name: model.name, versions: rows.length });
    change.announce('assay.model.deleted.v1', model.id, row.revision, {
      id: model.id,
      name: model.name,
      description: model.description,
      revision: row.revision,
      latestVersion: model.last_version === 0 ? null : model.last_version,
      aliases: {},
      createdAt: model.created_at,
      updatedAt: change.at,
    });
  });
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
  await change.trx.deleteFrom('version_tags').where('version_id', '=', row.id).execute();
  const { digest, version } = row;
  change.record('version.delete', `version/${row.id}`, { modelName: model.name, version, digest });
  change.announce(
    'assay.version.deleted.v1',
    row.id,
    deleted.revision,
    await toVersion(change.trx, deleted, model.name),
  );
}

async function refuseServed(db: Queryable, versions: readonly VersionsTable[], model: ModelRow): Promise<void> {
  const byId = new Map(versions.map((row) => [row.id, row.version]));
  const endpoints = await db
    .selectFrom('endpoints')
    .select(['name', 'variants'])
    .where('deleted_at', 'is', null)
    .orderBy('name')
    .execute();
  for (const endpoint of endpoints) {
    const served = fromJson<Variant[]>(endpoint.variants).find(({ versionId }) => byId.has(versionId));
    if (served === undefined) continue;
    throw new AssayError(
      'FAILED_PRECONDITION',
      `endpoint ${endpoint.name} serves version ${byId.get(served.versionId)} of ${model.name}; delete the endpoint, or give it another version, first`,
      { details: [{ place: `endpoint ${endpoint.name}`, message: `serves ${served.versionId}` }] },
    );
  }
}
