/** `experiments/…`: https://mlflow.org/docs/latest/api_reference/rest-api.html#create-experiment */
import type { App } from '@assay/http';
import Type from 'typebox';
import { actorOf } from '../http/caller.ts';
import type { PartsOf } from '../http/parts.ts';
import {
  createExperiment,
  getExperiment,
  getExperimentByName,
  renameExperiment,
  searchExperiments,
  setExperimentLifecycle,
  tagExperiment,
} from './store/experiments.ts';
import { addMlflowRoute, Id, Key, pageSize, SearchFields, Tags, Text, tagRecord, View } from './wire.ts';

const ExperimentName = Type.String({ minLength: 1, maxLength: 500 });

export function experimentRoutes(app: App, parts: PartsOf): void {
  const db = () => parts().store.database.db;

  addMlflowRoute(app, {
    method: 'POST',
    path: '/experiments/create',
    access: 'register',
    fields: { name: ExperimentName, artifact_location: Type.Optional(Type.String({ maxLength: 2000 })), tags: Tags },
    async handle({ body: { name, artifact_location: artifactLocation, tags }, request }) {
      actorOf(request);
      return {
        experiment_id: await createExperiment(parts().store, { name, artifactLocation, tags: tagRecord(tags) }),
      };
    },
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/experiments/get',
    access: 'read',
    fields: { experiment_id: Id },
    handle: async ({ body }) => ({ experiment: await getExperiment(db(), body.experiment_id) }),
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/experiments/get-by-name',
    access: 'read',
    fields: { experiment_name: ExperimentName },
    handle: async ({ body }) => ({ experiment: await getExperimentByName(db(), body.experiment_name) }),
  });

  for (const method of ['POST', 'GET'] as const) {
    addMlflowRoute(app, {
      method,
      path: '/experiments/search',
      access: 'read',
      fields: { ...SearchFields, view_type: Type.Optional(View) },
      handle: ({ body }) =>
        searchExperiments(db(), {
          filter: body.filter,
          orderBy: body.order_by,
          pageToken: body.page_token,
          limit: pageSize(body.max_results, 1000, 50_000),
          view: body.view_type ?? 'ACTIVE_ONLY',
        }),
    });
  }

  addMlflowRoute(app, {
    method: 'POST',
    path: '/experiments/update',
    access: 'register',
    fields: { experiment_id: Id, new_name: Type.Optional(ExperimentName) },
    async handle({ body: { experiment_id: id, new_name: name }, request }) {
      actorOf(request);
      if (name !== undefined) await renameExperiment(parts().store, id, name);
    },
  });

  for (const [path, lifecycle] of [
    ['/experiments/delete', 'deleted'],
    ['/experiments/restore', 'active'],
  ] as const) {
    addMlflowRoute(app, {
      method: 'POST',
      path,
      access: 'register',
      fields: { experiment_id: Id },
      async handle({ body, request }) {
        await setExperimentLifecycle(parts().store, actorOf(request), body.experiment_id, lifecycle);
      },
    });
  }

  addMlflowRoute(app, {
    method: 'POST',
    path: '/experiments/set-experiment-tag',
    access: 'register',
    fields: { experiment_id: Id, key: Key, value: Type.Optional(Text) },
    async handle({ body: { experiment_id: id, key, value = '' }, request }) {
      actorOf(request);
      await tagExperiment(parts().store, id, key, value);
    },
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/experiments/delete-experiment-tag',
    access: 'register',
    fields: { experiment_id: Id, key: Key },
    async handle({ body: { experiment_id: id, key }, request }) {
      actorOf(request);
      await tagExperiment(parts().store, id, key, undefined);
    },
  });
}
