/** `logged-models/…` of MLflow 3. */
import type { App } from '@assay/http';
import Type from 'typebox';
import { actorOf } from '../http/caller.ts';
import type { PartsOf } from '../http/parts.ts';
import { checkArtifactPath, pathOfUri } from './artifact-path.ts';
import { listFolder } from './store/artifacts.ts';
import {
  createLoggedModel,
  deleteLoggedModel,
  deleteLoggedModelTag,
  finalizeLoggedModel,
  getLoggedModel,
  logLoggedModelParams,
  requireLoggedModel,
  searchLoggedModels,
  setLoggedModelTags,
} from './store/logged-models.ts';
import { addMlflowRoute, Id, Int64, Key, Name, pageSize, Text } from './wire.ts';

const Pair = Type.Object({ key: Key, value: Type.Optional(Text) });
const Pairs = Type.Optional(Type.Array(Pair, { maxItems: 1000 }));

export function loggedModelRoutes(app: App, parts: PartsOf): void {
  const db = () => parts().store.database.db;

  addMlflowRoute(app, {
    method: 'POST',
    path: '/logged-models',
    access: 'register',
    fields: {
      experiment_id: Id,
      name: Type.Optional(Name),
      model_type: Type.Optional(Type.String({ maxLength: 500 })),
      source_run_id: Type.Optional(Type.String({ maxLength: 100 })),
      params: Pairs,
      tags: Pairs,
    },
    async handle({ body, request }) {
      actorOf(request);
      const model = await createLoggedModel(parts().store, {
        experimentId: body.experiment_id,
        name: body.name,
        modelType: body.model_type ?? '',
        sourceRunId: body.source_run_id === '' ? undefined : body.source_run_id,
        params: withValues(body.params),
        tags: withValues(body.tags),
      });
      return { model };
    },
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/logged-models/search',
    access: 'read',
    fields: {
      experiment_ids: Type.Optional(Type.Array(Id, { maxItems: 1000 })),
      filter: Type.Optional(Type.String()),
      max_results: Type.Optional(Int64),
      page_token: Type.Optional(Type.String({ maxLength: 200 })),
      order_by: Type.Optional(
        Type.Array(
          Type.Object({ field_name: Type.String({ maxLength: 1000 }), ascending: Type.Optional(Type.Boolean()) }),
          {
            maxItems: 20,
          },
        ),
      ),
    },
    handle: ({ body }) =>
      searchLoggedModels(db(), {
        experimentIds: body.experiment_ids ?? [],
        filter: body.filter,
        orderBy: body.order_by?.map(
          ({ field_name: field, ascending = true }) => `${field} ${ascending ? 'ASC' : 'DESC'}`,
        ),
        pageToken: body.page_token,
        limit: pageSize(body.max_results, 100, 1000),
      }),
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/logged-models/:model_id',
    access: 'read',
    fields: {},
    handle: async ({ param }) => ({ model: await getLoggedModel(db(), param('model_id')) }),
  });

  addMlflowRoute(app, {
    method: 'PATCH',
    path: '/logged-models/:model_id',
    access: 'register',
    fields: { status: Type.String({ maxLength: 50 }) },
    async handle({ body, param, request }) {
      actorOf(request);
      return { model: await finalizeLoggedModel(parts().store, param('model_id'), body.status) };
    },
  });

  addMlflowRoute(app, {
    method: 'DELETE',
    path: '/logged-models/:model_id',
    access: 'register',
    fields: {},
    async handle({ param, request }) {
      actorOf(request);
      await deleteLoggedModel(parts().store, param('model_id'));
    },
  });

  addMlflowRoute(app, {
    method: 'PATCH',
    path: '/logged-models/:model_id/tags',
    access: 'register',
    fields: { tags: Pairs },
    async handle({ body, param, request }) {
      actorOf(request);
      return { model: await setLoggedModelTags(parts().store, param('model_id'), withValues(body.tags)) };
    },
  });

  addMlflowRoute(app, {
    method: 'DELETE',
    path: '/logged-models/:model_id/tags/:tag_key',
    access: 'register',
    fields: {},
    async handle({ param, request }) {
      actorOf(request);
      await deleteLoggedModelTag(parts().store, param('model_id'), param('tag_key'));
    },
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/logged-models/:model_id/params',
    access: 'register',
    fields: { params: Pairs },
    async handle({ body, param, request }) {
      actorOf(request);
      await logLoggedModelParams(parts().store, param('model_id'), withValues(body.params));
    },
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/logged-models/:model_id/artifacts/directories',
    access: 'read',
    fields: { artifact_directory_path: Type.Optional(Type.String({ maxLength: 1000 })) },
    async handle({ body, param }) {
      const { artifact_uri: uri } = await requireLoggedModel(db(), param('model_id'));
      const root = pathOfUri(uri) ?? '';
      const below = body.artifact_directory_path ?? '';
      const entries = await listFolder(db(), below === '' ? root : `${root}/${checkArtifactPath(below)}`);
      return {
        root_uri: uri,
        files: entries.map(({ name, isFolder, sizeBytes }) => ({
          path: below === '' ? name : `${below}/${name}`,
          is_dir: isFolder,
          ...(isFolder ? {} : { file_size: sizeBytes }),
        })),
      };
    },
  });
}

function withValues(
  list: readonly { readonly key: string; readonly value?: string | undefined }[] = [],
): { key: string; value: string }[] {
  return list.map(({ key, value = '' }) => ({ key, value }));
}
