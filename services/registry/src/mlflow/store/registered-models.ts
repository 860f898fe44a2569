/** Registered models of MLflow: the registry's own models, as its clients see them. */
import { AssayError } from '@assay/contracts';
import { sql } from 'kysely';
import { getAlias, moveAlias } from '../../store/aliases.ts';
import { type Actor, change, type Store } from '../../store/change.ts';
import { insertModel, type ModelRow, modelChanged, requireModel, updateModel } from '../../store/models.ts';
import type { Queryable } from '../../store/tables.ts';
import { filterCondition, orderTerms, type Searchable } from '../filter/conditions.ts';
import { offsetOf, pageOf } from '../page-token.ts';
import type { Tagged } from './mlflow-tables.ts';
import { latestOfStages, type VersionView } from './model-versions.ts';

export interface RegisteredModelView {
  readonly name: string;
  readonly creation_timestamp: number;
  readonly last_updated_timestamp: number;
  readonly description: string;
  readonly latest_versions: readonly VersionView[];
  readonly tags: readonly Tagged[];
  readonly aliases: readonly { readonly alias: string; readonly version: string }[];
}

export interface SearchPage {
  readonly filter?: string | undefined;
  readonly orderBy?: readonly string[] | undefined;
  readonly limit: number;
  readonly pageToken?: string | undefined;
}

const SEARCHABLE: Searchable = {
  attributes: {
    name: { column: 'm.name', kind: 'text' },
    creation_timestamp: { column: 'm.created_at', kind: 'number' },
    last_updated_timestamp: { column: 'm.updated_at', kind: 'number' },
    timestamp: { column: 'm.updated_at', kind: 'number' },
  },
  keyed: { tag: { table: 'model_tags', owner: 'model_id', id: 'm.id', kind: 'text' } },
  // Every client of 3.x sends this with each search, to leave out prompts; it means those that are none.
  absentTagsDiffer: ['mlflow.prompt.is_prompt'],
};

export async function getRegisteredModel(db: Queryable, name: string): Promise<RegisteredModelView> {
  const [view] = await viewsOf(db, [await requireModel(db, name)]);
  if (view === undefined) throw new AssayError('INTERNAL', 'a model has one view');
  return view;
}

export async function searchRegisteredModels(
  db: Queryable,
  page: SearchPage,
): Promise<{ registered_models: RegisteredModelView[]; next_page_token?: string }> {
  const offset = offsetOf(page.pageToken);
  let query = db
    .selectFrom('models as m')
    .selectAll('m')
    .where('m.deleted_at', 'is', null)
    .where(filterCondition(SEARCHABLE, page.filter));
  for (const term of orderTerms(SEARCHABLE, page.orderBy, [sql`m.name asc`])) query = query.orderBy(term);
  const found = pageOf(
    await query
      .limit(page.limit + 1)
      .offset(offset)
      .execute(),
    page.limit,
    offset,
  );
  return { registered_models: await viewsOf(db, found.rows), ...found.next };
}

export function createRegisteredModel(
  store: Store,
  actor: Actor,
  made: { readonly name: string; readonly description: string; readonly tags: Readonly<Record<string, string>> },
): Promise<RegisteredModelView> {
  return change(store, actor, async (change) => {
    const { id } = await insertModel(change, { name: made.name, description: made.description });
    for (const [key, value] of Object.entries(made.tags)) {
      await change.trx.insertInto('model_tags').values({ model_id: id, key, value }).execute();
    }
    if (Object.keys(made.tags).length > 0)
      change.record('model.tag', `model/${id}`, { name: made.name, set: made.tags });
    return getRegisteredModel(change.trx, made.name);
  });
}

/** The client names no revision: it is read and written anew until no other write comes between. */
export async function updateRegisteredModel(
  store: Store,
  actor: Actor,
  name: string,
  update: { readonly name?: string; readonly description?: string },
): Promise<RegisteredModelView> {
  const model = await withoutRevision(async () => {
    const { id, revision } = await requireModel(store.database.db, name);
    return updateModel(store, actor, id, { expectedRevision: revision, ...update });
  });
  return getRegisteredModel(store.database.db, model.name);
}

/** Sets the tag, or removes it without a value. */
export function tagModel(
  store: Store,
  actor: Actor,
  name: string,
  key: string,
  value: string | undefined,
): Promise<void> {
  return change(store, actor, async (change) => {
    const model = await requireModel(change.trx, name);
    if (value === undefined) {
      await change.trx.deleteFrom('model_tags').where('model_id', '=', model.id).where('key', '=', key).execute();
    } else {
      await change.trx
        .insertInto('model_tags')
        .values({ model_id: model.id, key, value })
        .onConflict((conflict) => conflict.columns(['model_id', 'key']).doUpdateSet({ value }))
        .execute();
    }
    change.record('model.tag', `model/${model.id}`, {
      name: model.name,
      ...(value === undefined ? { removed: key } : { set: { [key]: value } }),
    });
    await modelChanged(change, model.id, 'assay.model.updated.v1');
  });
}

export async function setAlias(
  store: Store,
  actor: Actor,
  name: string,
  alias: string,
  version: number,
): Promise<void> {
  await withoutRevision(async () => {
    const expectedRevision = await aliasRevision(store.database.db, name, alias);
    await moveAlias(store, actor, name, alias, { version, expectedRevision });
  });
}

/** 0 for an alias that is not there. */
export async function aliasRevision(db: Queryable, name: string, alias: string): Promise<number> {
  const model = await requireModel(db, name);
  try {
    return (await getAlias(db, model.id, alias)).revision;
  } catch (error) {
    if (error instanceof AssayError && error.code === 'NOT_FOUND') return 0;
    throw error;
  }
}

const MAX_TRIES = 5;

/** Compare-and-set for callers that know no revisions: the last writer wins, none is lost. */
export async function withoutRevision<T>(write: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof AssayError) || error.code !== 'STALE_REVISION' || tries === MAX_TRIES) throw error;
    }
  }
}

async function viewsOf(db: Queryable, models: readonly ModelRow[]): Promise<RegisteredModelView[]> {
  if (models.length === 0) return [];
  const ids = models.map(({ id }) => id);
  const tags = await db.selectFrom('model_tags').selectAll().where('model_id', 'in', ids).orderBy('key').execute();
  const aliases = await db
    .selectFrom('aliases')
    .innerJoin('versions', 'versions.id', 'aliases.version_id')
    .select(['aliases.model_id', 'aliases.alias', 'versions.version'])
    .where('aliases.model_id', 'in', ids)
    .orderBy('aliases.alias')
    .execute();
  const latest = await latestOfStages(db, models);
  return models.map((model) => ({
    name: model.name,
    creation_timestamp: model.created_at,
    last_updated_timestamp: model.updated_at,
    description: model.description,
    latest_versions: latest.get(model.id) ?? [],
    tags: tags.flatMap(({ model_id, key, value }) => (model_id === model.id ? [{ key, value }] : [])),
    aliases: aliases.flatMap(({ model_id, alias, version }) =>
      model_id === model.id ? [{ alias, version: String(version) }] : [],
    ),
  }));
}
