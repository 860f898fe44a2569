import { CreateModel, Model, Page, PageQuery } from '@assay/contracts';
import type { App } from '@assay/http';
import { createModel, getModel, listModels, updateModel } from '../store/models.ts';
import { actorOf } from './caller.ts';
import { errorResponses } from './error-responses.ts';
import { DEFAULT_LIMIT } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { ModelParams, UpdateModel } from './schemas.ts';

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
        summary: 'List models by name',
        querystring: PageQuery,
        response: { 200: Page(Model, 'ModelPage'), ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT } = request.query;
      return listModels(parts().store.database.db, { limit, ...(after === undefined ? {} : { after }) });
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
        summary: 'Rename or describe a model',
        description:
          'Compare-and-set by `expectedRevision`. The id stays, and so does the name of the default endpoint, which applications call.',
        params: ModelParams,
        body: UpdateModel,
        response: { 200: Model, ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION') },
      },
    },
    async (request) => {
      const { expectedRevision, name, description } = request.body;
      return updateModel(parts().store, actorOf(request), request.params.model, {
        expectedRevision,
        ...(name === undefined ? {} : { name }),
        ...(description === undefined ? {} : { description }),
      });
    },
  );
}
