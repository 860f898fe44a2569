/** Models: a name, and the versions and aliases under it. */
import { isDeepStrictEqual } from 'node:util';
import { AssayError, type CreateModel, type Model, nearest, type Page, type UpdateModel } from '@assay/contracts';
import { newId } from '@assay/runtime';
import { checkModelName, shownName } from '../domain/names.ts';
import { type Actor, type Change, change, type EventType, type Store } from './change.ts';
import { refuseGated } from './gate-rows.ts';
import { checkRevision } from './stale.ts';
import type { ModelsTable, Queryable } from './tables.ts';

/** Names looked at for a "did you mean". */
const NAMES_TO_SUGGEST = 1000;

export type ModelRow = ModelsTable;

/**
 * @param nameOrId a name wins over an id
 * @throws AssayError NOT_FOUND with the nearest name
 */
export async function requireModel(db: Queryable, nameOrId: string): Promise<ModelRow> {
  const row = await findModel(db, nameOrId);
  if (row !== undefined) return row;
  const names = await db
    .selectFrom('models')
    .select('name')
    .where('deleted_at', 'is', null)
    .orderBy('name')
    .limit(NAMES_TO_SUGGEST)
    .execute();
  const suggestion = nearest(
    nameOrId,
    names.map((model) => model.name),
  );
  throw new AssayError(
    'NOT_FOUND',
    `there is no model "${nameOrId}"${suggestion === undefined ? '' : `; did you mean "${suggestion}"?`}`,
  );
}

async function findModel(db: Queryable, nameOrId: string): Promise<ModelRow | undefined> {
  const rows = await db
    .selectFrom('models')
    .selectAll()
    .where((eb) => eb.or([eb('name', '=', nameOrId), eb('id', '=', nameOrId)]))
    .where('deleted_at', 'is', null)
    .execute();
  return rows.find((row) => row.name === nameOrId) ?? rows[0];
}

/**
 * A deleted model, by its id, or by the name that it had: of several the one that was deleted last.
 * @throws AssayError NOT_FOUND
 */
export async function requireDeletedModel(db: Queryable, nameOrId: string): Promise<ModelRow> {
  const rows = await db
    .selectFrom('models')
    .selectAll()
    .where('deleted_at', 'is not', null)
    .orderBy('deleted_at', 'desc')
    .execute();
  const row = rows.find(({ id }) => id === nameOrId) ?? rows.find(({ name }) => shownName(name) === nameOrId);
  if (row !== undefined) return row;
  throw new AssayError('NOT_FOUND', `there is no deleted model "${nameOrId}"; GET /v1/models?deleted=true lists them`);
}

export async function getModel(db: Queryable, nameOrId: string): Promise<Model> {
  return toModel(db, await requireModel(db, nameOrId));
}

/** By name, ascending; the deleted ones, where they are asked for, by id. */
export async function listModels(
  db: Queryable,
  page: { after?: string; limit: number; deleted?: boolean },
): Promise<Page<Model>> {
  let query = db
    .selectFrom('models')
    .selectAll()
    .where('deleted_at', page.deleted ? 'is not' : 'is', null);
  if (page.after !== undefined) query = query.where('name', '>', page.after);
  const rows = await query
    .orderBy('name')
    .limit(page.limit + 1)
    .execute();
  const shown = rows.slice(0, page.limit);
  const items = await toModels(db, shown);
  const last = shown.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: last.name } : { items };
}

/** @throws AssayError ALREADY_EXISTS */
export function createModel(store: Store, actor: Actor, body: CreateModel): Promise<Model> {
  return change(store, actor, (change) => insertModel(change, body));
}

/** As part of a larger change. */
export async function insertModel(change: Change, body: CreateModel): Promise<Model> {
  checkModelName(body.name);
  await refuseTakenName(change.trx, body.name);
  const row: ModelRow = {
    id: newId('mdl'),
    name: body.name,
    description: body.description ?? '',
    revision: 1,
    last_version: 0,
    created_at: change.at,
    updated_at: change.at,
    deleted_at: null,
  };
  await change.trx.insertInto('models').values(row).execute();
  const tags = body.tags ?? {};
  await insertTags(change.trx, row.id, tags);
  const model = modelOf(row, {}, tags);
  change.record('model.create', `model/${row.id}`, {
    name: row.name,
    description: row.description,
    ...(Object.keys(tags).length === 0 ? {} : { tags }),
  });
  change.announce('assay.model.created.v1', row.id, row.revision, model);
  return model;
}

/**
 * Renames, describes or tags a model. Its default endpoint keeps the name that applications call.
 * @throws AssayError STALE_REVISION; ALREADY_EXISTS; FAILED_PRECONDITION for the name of a model that has gates
 */
export function updateModel(store: Store, actor: Actor, nameOrId: string, update: UpdateModel): Promise<Model> {
  if (update.name !== undefined) checkModelName(update.name);
  return change(store, actor, async (change) => {
    const row = await requireModel(change.trx, nameOrId);
    checkRevision({
      what: `model ${row.name}`,
      expectedRevision: update.expectedRevision,
      currentRevision: row.revision,
      last: { at: row.updated_at, state: `called ${row.name}, with ${row.last_version} versions` },
    });
    const name = update.name ?? row.name;
    const description = update.description ?? row.description;
    const before = (await tagsOf(change.trx, [row.id])).get(row.id) ?? {};
    const tags = update.tags ?? before;
    const isTagged = !isDeepStrictEqual(tags, before);
    if (name === row.name && description === row.description && !isTagged) return toModel(change.trx, row);
    if (name !== row.name) {
      await refuseTakenName(change.trx, name, row.id);
      await refuseGated(change.trx, row, 'rename it');
      change.rerouted();
    }
    await change.trx.updateTable('models').set({ name, description }).where('id', '=', row.id).execute();
    if (isTagged) {
      await change.trx.deleteFrom('model_tags').where('model_id', '=', row.id).execute();
      await insertTags(change.trx, row.id, tags);
    }
    change.record('model.update', `model/${row.id}`, {
      from: { name: row.name, description: row.description, ...(isTagged ? { tags: before } : {}) },
      to: { name, description, ...(isTagged ? { tags } : {}) },
    });
    return modelChanged(change, row.id, 'assay.model.updated.v1');
  });
}

/** A change of a version or an alias is a change of its model: counted, and announced with the whole model. */
export async function modelChanged(change: Change, modelId: string, type: EventType): Promise<Model> {
  const row = await change.trx
    .updateTable('models')
    .set((eb) => ({ revision: eb('revision', '+', 1), updated_at: change.at }))
    .where('id', '=', modelId)
    .returningAll()
    .executeTakeFirstOrThrow();
  const model = await toModel(change.trx, row);
  change.announce(type, row.id, row.revision, model);
  return model;
}

/**
 * Model names and endpoint names share one space: a model's name is reserved for its default endpoint. A model may take
 * back the name of an endpoint that follows it.
 */
export async function refuseTakenName(db: Queryable, name: string, modelId?: string): Promise<void> {
  const model = await db.selectFrom('models').select('id').where('name', '=', name).executeTakeFirst();
  if (model !== undefined) {
    throw new AssayError('ALREADY_EXISTS', `a model "${name}" exists (${model.id}); choose another name`);
  }
  const endpoint = await db
    .selectFrom('endpoints')
    .select(['id', 'follow_model_id'])
    .where('name', '=', name)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (endpoint !== undefined && (modelId === undefined || endpoint.follow_model_id !== modelId)) {
    throw new AssayError(
      'ALREADY_EXISTS',
      `an endpoint "${name}" exists (${endpoint.id}), and a model's name is the name of its default endpoint; choose another name`,
    );
  }
}

export async function toModel(db: Queryable, row: ModelRow): Promise<Model> {
  const [model] = await toModels(db, [row]);
  if (model === undefined) throw new AssayError('INTERNAL', 'a row is a model');
  return model;
}

async function toModels(db: Queryable, rows: readonly ModelRow[]): Promise<Model[]> {
  const ids = rows.map((row) => row.id);
  const aliases = await aliasesOf(db, ids);
  const tags = await tagsOf(db, ids);
  return rows.map((row) => modelOf(row, aliases.get(row.id) ?? {}, tags.get(row.id) ?? {}));
}

function modelOf(row: ModelRow, aliases: Record<string, number>, tags: Record<string, string>): Model {
  return {
    id: row.id,
    name: shownName(row.name),
    description: row.description,
    revision: row.revision,
    latestVersion: row.last_version === 0 ? null : row.last_version,
    aliases,
    ...(Object.keys(tags).length === 0 ? {} : { tags }),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    ...(row.deleted_at === null ? {} : { deletedAt: row.deleted_at }),
  };
}

async function insertTags(db: Queryable, modelId: string, tags: Readonly<Record<string, string>>): Promise<void> {
  const rows = Object.entries(tags).map(([key, value]) => ({ model_id: modelId, key, value }));
  if (rows.length > 0) await db.insertInto('model_tags').values(rows).execute();
}

async function tagsOf(db: Queryable, modelIds: readonly string[]): Promise<Map<string, Record<string, string>>> {
  if (modelIds.length === 0) return new Map();
  const rows = await db.selectFrom('model_tags').selectAll().where('model_id', 'in', modelIds).orderBy('key').execute();
  const byModel = Map.groupBy(rows, (row) => row.model_id);
  return new Map(
    [...byModel].map(([id, tags]) => [id, Object.fromEntries(tags.map(({ key, value }) => [key, value]))]),
  );
}

async function aliasesOf(db: Queryable, modelIds: readonly string[]): Promise<Map<string, Record<string, number>>> {
  const byModel = new Map<string, Record<string, number>>();
  if (modelIds.length === 0) return byModel;
  const rows = await db
    .selectFrom('aliases')
    .innerJoin('versions', 'versions.id', 'aliases.version_id')
    .select(['aliases.model_id', 'aliases.alias', 'versions.version'])
    .where('aliases.model_id', 'in', modelIds)
    .orderBy('aliases.alias')
    .execute();
  for (const row of rows) {
    const aliases = byModel.get(row.model_id) ?? {};
    aliases[row.alias] = row.version;
    byModel.set(row.model_id, aliases);
  }
  return byModel;
}
