import { CreateModel, Model, Page, UpdateModel } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import Type from 'typebox';
import { deleteModel } from '../store/deletions.ts';
import { createModel, getModel, listModels, updateModel } from '../store/models.ts';
import { restoreModel } from '../store/restores.ts';
import { actorOf } from './caller.ts';
import { DEFAULT_LIMIT } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { DeletablePageQuery, ExpectedRevisionQuery, ModelParams } from './schemas.ts';

const tags = ['models'];

export function modelRoutes(app: App, parts: PartsOf): void {
  app.post(
    '/v1/models',
    {
      config: { access: 'register' },
      schema: {
        tags,
        operationId: 'createModel',
        summary: 'Make a model',
        description:
          'A name under which versions are registered. Its name is reserved for its default endpoint. Example: `{"name": "flight-delay", "description": "More than 15 minutes late"}`.',
        body: CreateModel,
        response: { 201: Model, ...errorResponses('INVALID_ARGUMENT', 'ALREADY_EXISTS') },
      },
    },
    async (request, reply) => {
      const model = await createModel(parts().store, actorOf(request), request.body);
      return reply.code(201).header('location', `/v1/models/${model.name}`).send(model);
    },
  );

  app.get(
    '/v1/models',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listModels',
        summary: 'List models by name, deleted ones by id',
        querystring: DeletablePageQuery,
        response: { 200: Page(Model, 'ModelPage'), ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT, deleted = false } = request.query;
      return listModels(parts().store.database.db, { limit, deleted, ...(after === undefined ? {} : { after }) });
    },
  );

  app.get(
    '/v1/models/:model',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getModel',
        summary: 'Get a model by its name or id',
        params: ModelParams,
        response: { 200: Model, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => getModel(parts().store.database.db, request.params.model),
  );

  app.patch(
    '/v1/models/:model',
    {
      config: { access: 'register' },
      schema: {
        tags,
        operationId: 'updateModel',
        summary: 'Rename, describe or tag a model',
        description:
          'Compare-and-set by `expectedRevision`. `tags` are set all at once. The id stays, and so does the name of the default endpoint, which applications call. A model that has gates keeps its name: another one of that name would have none.',
        params: ModelParams,
        body: UpdateModel,
        response: {
          200: Model,
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request) => updateModel(parts().store, actorOf(request), request.params.model, request.body),
  );

  app.delete(
    '/v1/models/:model',
    {
      config: { access: 'register' },
      schema: {
        tags,
        operationId: 'deleteModel',
        summary: 'Delete a model with its versions and aliases',
        description:
          'It can be restored until `deletedRetentionMs` have passed and a collection has removed it. Refused while an endpoint serves one of its versions, or a version of another model was made from one; `details` names who. Its name is free at once.',
        params: ModelParams,
        querystring: ExpectedRevisionQuery,
        response: {
          204: Type.Null({ description: 'It is deleted.' }),
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request, reply) => {
      const { model } = request.params;
      await deleteModel(parts().store, actorOf(request), model, request.query.expectedRevision);
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/v1/models/:model/restore',
    {
      config: { access: 'register' },
      schema: {
        tags,
        operationId: 'restoreModel',
        summary: 'Restore a deleted model with the versions that were deleted with it',
        description:
          'By its id, or by the name that it had; of several of that name the one that was deleted last. Its aliases do not come back: move them anew. Refused while another model, or an endpoint, has its name.',
        params: ModelParams,
        response: { 200: Model, ...errorResponses('NOT_FOUND', 'ALREADY_EXISTS') },
      },
    },
    async (request) => restoreModel(parts().store, actorOf(request), request.params.model),
  );
}
