/** `registered-models/…`: https://mlflow.org/docs/latest/api_reference/rest-api.html#create-registeredmodel */
import type { App } from '@assay/http';
import Type from 'typebox';
import { actorOf } from '../http/caller.ts';
import type { PartsOf } from '../http/parts.ts';
import { deleteAlias } from '../store/aliases.ts';
import { deleteModel } from '../store/deletions.ts';
import { requireModel } from '../store/models.ts';
import { invalid } from './errors.ts';
import { latestOfStages, parseVersionNumber, STAGES, viewById } from './store/model-versions.ts';
import {
  aliasRevision,
  createRegisteredModel,
  getRegisteredModel,
  searchRegisteredModels,
  setAlias,
  tagModel,
  updateRegisteredModel,
  withoutRevision,
} from './store/registered-models.ts';
import { addMlflowRoute, Key, Name, pageSize, SearchFields, Tags, Text, tagRecord } from './wire.ts';

const Alias = Type.String({ minLength: 1, maxLength: 128, pattern: '^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$' });
const Stages = Type.Optional(Type.Array(Type.String({ maxLength: 50 }), { maxItems: 10 }));

export function registeredModelRoutes(app: App, parts: PartsOf): void {
  const db = () => parts().store.database.db;

  addMlflowRoute(app, {
    method: 'POST',
    path: '/registered-models/create',
    access: 'register',
    fields: { name: Name, description: Type.Optional(Text), tags: Tags },
    async handle({ body: { name, description = '', tags }, request }) {
      const made = { name: modelName(name), description, tags: tagRecord(tags) };
      return { registered_model: await createRegisteredModel(parts().store, actorOf(request), made) };
    },
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/registered-models/get',
    access: 'read',
    fields: { name: Name },
    handle: async ({ body: { name } }) => ({ registered_model: await getRegisteredModel(db(), name) }),
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/registered-models/search',
    access: 'read',
    fields: SearchFields,
    handle: ({ body: { filter, order_by: orderBy, page_token: pageToken, max_results: size } }) =>
      searchRegisteredModels(db(), { filter, orderBy, pageToken, limit: pageSize(size, 100, 1000) }),
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/registered-models/rename',
    access: 'register',
    fields: { name: Name, new_name: Name },
    async handle({ body: { name, new_name: next }, request }) {
      const update = { name: modelName(next) };
      return { registered_model: await updateRegisteredModel(parts().store, actorOf(request), name, update) };
    },
  });

  addMlflowRoute(app, {
    method: 'PATCH',
    path: '/registered-models/update',
    access: 'register',
    fields: { name: Name, description: Type.Optional(Text) },
    async handle({ body: { name, description = '' }, request }) {
      return { registered_model: await updateRegisteredModel(parts().store, actorOf(request), name, { description }) };
    },
  });

  addMlflowRoute(app, {
    method: 'DELETE',
    path: '/registered-models/delete',
    access: 'register',
    fields: { name: Name },
    handle: ({ body: { name }, request }) => deleteModel(parts().store, actorOf(request), name, undefined),
  });

  for (const method of ['POST', 'GET'] as const) {
    addMlflowRoute(app, {
      method,
      path: '/registered-models/get-latest-versions',
      access: 'read',
      fields: { name: Name, stages: Stages },
      async handle({ body: { name, stages = [] } }) {
        const wanted = stages.map((stage) => stage.toLowerCase());
        const unknown = wanted.find((stage) => !STAGES.some((known) => known.toLowerCase() === stage));
        if (unknown !== undefined) throw invalid('stages', `there is no stage "${unknown}"`, STAGES.join(', '));
        const model = await requireModel(db(), name);
        const latest = (await latestOfStages(db(), [model])).get(model.id) ?? [];
        const has = (stage: string) => wanted.length === 0 || wanted.includes(stage.toLowerCase());
        return { model_versions: latest.filter(({ current_stage: stage }) => has(stage)) };
      },
    });
  }

  addMlflowRoute(app, {
    method: 'POST',
    path: '/registered-models/set-tag',
    access: 'register',
    fields: { name: Name, key: Key, value: Type.Optional(Text) },
    handle: ({ body: { name, key, value = '' }, request }) =>
      tagModel(parts().store, actorOf(request), name, key, value),
  });

  addMlflowRoute(app, {
    method: 'DELETE',
    path: '/registered-models/delete-tag',
    access: 'register',
    fields: { name: Name, key: Key },
    handle: ({ body: { name, key }, request }) => tagModel(parts().store, actorOf(request), name, key, undefined),
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/registered-models/alias',
    access: 'promote',
    fields: { name: Name, alias: Alias, version: Type.String({ maxLength: 20 }) },
    handle: ({ body: { name, alias, version }, request }) =>
      setAlias(parts().store, actorOf(request), name, alias, parseVersionNumber(version)),
  });

  addMlflowRoute(app, {
    method: 'DELETE',
    path: '/registered-models/alias',
    access: 'promote',
    fields: { name: Name, alias: Alias },
    async handle({ body: { name, alias }, request }) {
      await withoutRevision(async () => {
        const revision = await aliasRevision(db(), name, alias);
        if (revision > 0) await deleteAlias(parts().store, actorOf(request), name, alias, revision);
      });
    },
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/registered-models/alias',
    access: 'read',
    fields: { name: Name, alias: Type.String({ minLength: 1, maxLength: 128 }) },
    async handle({ body: { name, alias } }) {
      const model = await requireModel(db(), name);
      const row = await db()
        .selectFrom('aliases')
        .select('version_id')
        .where('model_id', '=', model.id)
        .where('alias', '=', alias)
        .executeTakeFirst();
      // MLflow calls a missing alias an invalid value, and its clients tell it from a missing model by that.
      if (row === undefined || row.version_id === null) throw invalid('alias', `model ${name} has no alias "${alias}"`);
      return { model_version: await viewById(db(), row.version_id) };
    },
  });
}

/** Assay's own rule for names is narrower than MLflow's: a model's name is an endpoint's, and stands in paths. */
function modelName(name: string): string {
  if (/^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,126}[a-zA-Z0-9])?$/.test(name)) return name;
  throw invalid(
    'name',
    `${JSON.stringify(name)} cannot be the name of a model`,
    'letters, digits, ".", "_" and "-", beginning and ending with a letter or digit, at most 128 characters',
  );
}
