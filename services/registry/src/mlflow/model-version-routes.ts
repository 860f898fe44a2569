/** `model-versions/…`: https://mlflow.org/docs/latest/api_reference/rest-api.html#create-modelversion */
import type { App } from '@assay/http';
import Type from 'typebox';
import { actorOf, callerGone } from '../http/caller.ts';
import type { PartsOf } from '../http/parts.ts';
import { deleteVersion } from '../store/deletions.ts';
import { requireModel } from '../store/models.ts';
import { requireVersion } from '../store/versions.ts';
import {
  describeVersion,
  downloadUri,
  findPending,
  getModelVersion,
  moveToStage,
  parseVersionNumber,
  searchModelVersions,
  tagVersion,
  viewById,
} from './store/model-versions.ts';
import { reserveVersion } from './store/reserve-version.ts';
import { addMlflowRoute, Key, Name, pageSize, SearchFields, Tags, Text, tagRecord } from './wire.ts';

/** How long a registration waits for its package; after that the client asks again, as MLflow's do. */
const PACKAGE_WAIT_MS = 30_000;
const VersionNumber = Type.String({ minLength: 1, maxLength: 20 });

export function modelVersionRoutes(app: App, parts: PartsOf): void {
  const db = () => parts().store.database.db;

  addMlflowRoute(app, {
    method: 'POST',
    path: '/model-versions/create',
    access: 'register',
    fields: {
      name: Name,
      source: Type.String({ minLength: 1, maxLength: 2000 }),
      run_id: Type.Optional(Type.String({ maxLength: 100 })),
      run_link: Type.Optional(Type.String({ maxLength: 2000 })),
      description: Type.Optional(Text),
      model_id: Type.Optional(Type.String({ maxLength: 100 })),
      tags: Tags,
    },
    async handle({ body, request, reply }) {
      const { store, packager } = parts();
      const reserved = await reserveVersion(store, actorOf(request), {
        name: body.name,
        source: body.source,
        runId: given(body.run_id),
        runLink: body.run_link ?? '',
        loggedModelId: given(body.model_id),
        description: body.description ?? '',
        tags: tagRecord(body.tags),
      });
      if (reserved.is_pending === 1) {
        await packager.finished(reserved.version_id, PACKAGE_WAIT_MS, callerGone(reply));
      }
      return { model_version: await viewById(db(), reserved.version_id) };
    },
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/model-versions/get',
    access: 'read',
    fields: { name: Name, version: VersionNumber },
    handle: async ({ body: { name, version } }) => ({ model_version: await getModelVersion(db(), name, version) }),
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/model-versions/search',
    access: 'read',
    fields: SearchFields,
    handle: ({ body: { filter, order_by: orderBy, page_token: pageToken, max_results: size } }) =>
      searchModelVersions(db(), { filter, orderBy, pageToken, limit: pageSize(size, 10_000, 200_000) }),
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/model-versions/get-download-uri',
    access: 'read',
    fields: { name: Name, version: VersionNumber },
    async handle({ body: { name, version } }) {
      const model = await requireModel(db(), name);
      const number = parseVersionNumber(version);
      const pending = await findPending(db(), model.id, number);
      return { artifact_uri: downloadUri(pending?.version_id ?? (await requireVersion(db(), model, number)).id) };
    },
  });

  addMlflowRoute(app, {
    method: 'PATCH',
    path: '/model-versions/update',
    access: 'register',
    fields: { name: Name, version: VersionNumber, description: Type.Optional(Text) },
    async handle({ body: { name, version, description = '' }, request }) {
      return { model_version: await describeVersion(parts().store, actorOf(request), name, version, description) };
    },
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/model-versions/transition-stage',
    access: 'promote',
    fields: {
      name: Name,
      version: VersionNumber,
      stage: Type.String({ maxLength: 50 }),
      archive_existing_versions: Type.Optional(Type.Boolean()),
    },
    async handle({ body: { name, version, stage, archive_existing_versions: archives = false }, request }) {
      const view = await moveToStage(parts().store, actorOf(request), { name, version }, stage, archives);
      return { model_version: view };
    },
  });

  addMlflowRoute(app, {
    method: 'DELETE',
    path: '/model-versions/delete',
    access: 'register',
    fields: { name: Name, version: VersionNumber },
    handle: ({ body: { name, version }, request }) =>
      deleteVersion(parts().store, actorOf(request), name, parseVersionNumber(version), 'go with it'),
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/model-versions/set-tag',
    access: 'register',
    fields: { name: Name, version: VersionNumber, key: Key, value: Type.Optional(Text) },
    async handle({ body: { name, version, key, value = '' }, request }) {
      await tagVersion(parts().store, actorOf(request), { name, version }, key, value);
    },
  });

  addMlflowRoute(app, {
    method: 'DELETE',
    path: '/model-versions/delete-tag',
    access: 'register',
    fields: { name: Name, version: VersionNumber, key: Key },
    async handle({ body: { name, version, key }, request }) {
      await tagVersion(parts().store, actorOf(request), { name, version }, key, undefined);
    },
  });
}

/** Protobuf's JSON may hold an empty text for what is not there. */
function given(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
