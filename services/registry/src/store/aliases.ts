/**
 * Aliases: movable names on versions, moved by compare-and-set. The endpoints that follow an alias move with it, in the
 * same transaction, or the alias does not move.
 */
import { type Alias, AssayError, type MoveAlias, type Page } from '@assay/contracts';
import { CHAMPION, checkAliasName } from '../domain/names.ts';
import { type Actor, type Change, change, type Store } from './change.ts';
import { createDefaultEndpoint, followersOf, moveFollowers } from './endpoints.ts';
import { passAliasGates } from './gate-passages.ts';
import { type ModelRow, modelChanged, requireModel } from './models.ts';
import { checkRevision } from './stale.ts';
import type { AliasesTable, Queryable } from './tables.ts';
import { aliasUsed } from './version-uses.ts';
import { requireVersion } from './versions.ts';

/** @throws AssayError NOT_FOUND */
export async function getAlias(db: Queryable, modelNameOrId: string, alias: string): Promise<Alias> {
  const model = await requireModel(db, modelNameOrId);
  const row = await selectAliases(db, model.id).where('aliases.alias', '=', alias).executeTakeFirst();
  if (row === undefined) throw new AssayError('NOT_FOUND', `model ${model.name} has no alias "${alias}"`);
  return aliasOf(row, model);
}

/** By name, ascending. */
export async function listAliases(
  db: Queryable,
  modelNameOrId: string,
  page: { after?: string; limit: number },
): Promise<Page<Alias>> {
  const model = await requireModel(db, modelNameOrId);
  let query = selectAliases(db, model.id);
  if (page.after !== undefined) query = query.where('aliases.alias', '>', page.after);
  const rows = await query
    .orderBy('aliases.alias')
    .limit(page.limit + 1)
    .execute();
  const items = rows.slice(0, page.limit).map((row) => aliasOf(row, model));
  const last = items.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: last.alias } : { items };
}

/**
 * Makes or moves an alias, its followers with it; a model's first `champion` makes its default endpoint. An alias that
 * is there already does not move, and leaves no entry.
 * @throws AssayError STALE_REVISION; FAILED_PRECONDITION when the version breaks the contract of an endpoint that
 *   follows the alias; GatesNotMet, unless the body forces it; INVALID_ARGUMENT for a reserved name; NOT_FOUND
 */
export function moveAlias(
  store: Store,
  actor: Actor,
  modelNameOrId: string,
  alias: string,
  body: MoveAlias,
): Promise<Alias> {
  checkAliasName(alias);
  return change(store, actor, async (change) => {
    const model = await requireModel(change.trx, modelNameOrId);
    const current = await findRow(change.trx, model.id, alias);
    await checkAliasRevision(change, model, alias, current, body.expectedRevision);
    const version = await requireVersion(change.trx, model, body.version);
    if (current !== undefined && current.version_id === version.id) {
      return aliasOf({ ...current, version_id: version.id, version: version.version }, model);
    }
    const passage = await passAliasGates(change, { model, alias, version }, body.force);
    const row = {
      model_id: model.id,
      alias,
      version_id: version.id,
      revision: (current?.revision ?? 0) + 1,
      moved_at: change.at,
      moved_by: change.actor.principal,
    };
    await change.trx
      .insertInto('aliases')
      .values(row)
      .onConflict((conflict) => conflict.columns(['model_id', 'alias']).doUpdateSet(row))
      .execute();
    await aliasUsed(change, { modelId: model.id, alias, revision: row.revision }, version.id);
    change.record('alias.move', `model/${model.id}`, {
      modelName: model.name,
      alias,
      revision: row.revision,
      from: current?.version_id ?? null,
      to: version.id,
      version: version.version,
      ...passage,
    });
    await moveFollowers(change, { model, alias, version });
    const before = current === undefined || current.version_id === null ? undefined : current.version_id;
    if (alias === CHAMPION && (current === undefined || (await isUnservable(change.trx, before)))) {
      await createDefaultEndpoint(change, model, version);
    }
    await modelChanged(change, model.id, 'assay.model.alias-moved.v1');
    return aliasOf({ ...row, version: version.version }, model);
  });
}

/** @throws AssayError STALE_REVISION; NOT_FOUND; FAILED_PRECONDITION when an endpoint follows it */
export function deleteAlias(
  store: Store,
  actor: Actor,
  modelNameOrId: string,
  alias: string,
  expectedRevision: number,
): Promise<void> {
  return change(store, actor, async (change) => {
    const model = await requireModel(change.trx, modelNameOrId);
    const current = await findRow(change.trx, model.id, alias);
    if (current === undefined || current.version_id === null) {
      throw new AssayError('NOT_FOUND', `model ${model.name} has no alias "${alias}"`);
    }
    await checkAliasRevision(change, model, alias, current, expectedRevision);
    const followers = await followersOf(change.trx, model.id, alias);
    const [follower] = followers;
    if (follower !== undefined) {
      throw new AssayError(
        'FAILED_PRECONDITION',
        `endpoint ${follower.name} follows alias ${alias} of ${model.name}; delete the endpoint, or give it variants, first`,
        {
          details: followers.map(({ name }) => ({
            place: `endpoint ${name}`,
            message: `follows ${alias} of ${model.name}`,
          })),
        },
      );
    }
    await change.trx
      .updateTable('aliases')
      .set({ version_id: null, revision: current.revision + 1, moved_at: change.at, moved_by: change.actor.principal })
      .where('model_id', '=', model.id)
      .where('alias', '=', alias)
      .execute();
    await aliasUsed(change, { modelId: model.id, alias, revision: current.revision + 1 }, null);
    change.record('alias.delete', `model/${model.id}`, {
      modelName: model.name,
      alias,
      revision: current.revision + 1,
      from: current.version_id,
    });
    await modelChanged(change, model.id, 'assay.model.alias-deleted.v1');
  });
}

/** A champion that cannot be served has made no default endpoint: the next one does. */
async function isUnservable(db: Queryable, versionId: string | undefined): Promise<boolean> {
  if (versionId === undefined) return false;
  const row = await db
    .selectFrom('versions')
    .select('not_servable')
    .where('id', '=', versionId)
    .where('not_servable', 'is not', null)
    .executeTakeFirst();
  return row !== undefined;
}

async function checkAliasRevision(
  change: Change,
  model: ModelRow,
  alias: string,
  current: AliasesTable | undefined,
  expectedRevision: number,
): Promise<void> {
  const versionId = current?.version_id ?? null;
  const version = versionId === null ? undefined : await requireVersion(change.trx, model, versionId);
  checkRevision({
    what: `alias ${alias} of ${model.name}`,
    expectedRevision,
    currentRevision: version === undefined ? 0 : (current?.revision ?? 0),
    ...(current === undefined || version === undefined
      ? {}
      : { last: { by: current.moved_by, at: current.moved_at, state: `moved to version ${version.version}` } }),
  });
}

function findRow(db: Queryable, modelId: string, alias: string): Promise<AliasesTable | undefined> {
  return db
    .selectFrom('aliases')
    .selectAll()
    .where('model_id', '=', modelId)
    .where('alias', '=', alias)
    .executeTakeFirst();
}

function selectAliases(db: Queryable, modelId: string) {
  return db
    .selectFrom('aliases')
    .innerJoin('versions', 'versions.id', 'aliases.version_id')
    .select([
      'aliases.alias',
      'versions.id as version_id',
      'versions.version',
      'aliases.revision',
      'aliases.moved_at',
      'aliases.moved_by',
    ])
    .where('aliases.model_id', '=', modelId);
}

function aliasOf(
  row: { alias: string; version_id: string; version: number; revision: number; moved_at: number; moved_by: string },
  model: ModelRow,
): Alias {
  return {
    modelId: model.id,
    modelName: model.name,
    alias: row.alias,
    versionId: row.version_id,
    version: row.version,
    revision: row.revision,
    movedAt: row.moved_at,
    movedBy: row.moved_by,
  };
}
