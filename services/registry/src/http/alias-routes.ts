import { Alias, MoveAlias, Page, PageQuery } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import Type from 'typebox';
import { deleteAlias, getAlias, listAliases, moveAlias } from '../store/aliases.ts';
import { actorOf, checkForce } from './caller.ts';
import { DEFAULT_LIMIT } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { AliasParams, ExpectedRevisionQuery, ModelParams } from './schemas.ts';

const tags = ['aliases'];

export function aliasRoutes(app: App, parts: PartsOf): void {
  app.get(
    '/v1/models/:model/aliases',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listAliases',
        summary: 'List the aliases of a model by name',
        params: ModelParams,
        querystring: PageQuery,
        response: { 200: Page(Alias, 'AliasPage'), ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND') },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT } = request.query;
      const page = { limit, ...(after === undefined ? {} : { after }) };
      return listAliases(parts().store.database.db, request.params.model, page);
    },
  );

  app.get(
    '/v1/models/:model/aliases/:alias',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getAlias',
        summary: 'Get an alias',
        params: AliasParams,
        response: { 200: Alias, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => getAlias(parts().store.database.db, request.params.model, request.params.alias),
  );

  app.put(
    '/v1/models/:model/aliases/:alias',
    {
      config: { access: 'promote' },
      schema: {
        tags,
        operationId: 'moveAlias',
        summary: 'Make or move an alias',
        description:
          'Compare-and-set: `expectedRevision` is the revision that was read, 0 for an alias that is not there. Endpoints that follow the alias move in the same transaction; if the version breaks the contract of one of them, nothing moves. The first `champion` of a model makes its default endpoint. A version that does not meet the gates that guard the alias, or an endpoint that follows it, is refused with FAILED_PRECONDITION and each of them; `force` moves it in spite of them, and needs the scope `admin`. `latest`, numbers, and `v` with a number are reserved. Example: `{"version": 2, "expectedRevision": 1}`.',
        params: AliasParams,
        body: MoveAlias,
        response: {
          200: Alias,
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request) => {
      checkForce(request, request.body.force);
      return moveAlias(parts().store, actorOf(request), request.params.model, request.params.alias, request.body);
    },
  );

  app.delete(
    '/v1/models/:model/aliases/:alias',
    {
      config: { access: 'promote' },
      schema: {
        tags,
        operationId: 'deleteAlias',
        summary: 'Delete an alias',
        description: 'Refused while an endpoint follows it.',
        params: AliasParams,
        querystring: ExpectedRevisionQuery,
        response: {
          204: Type.Null({ description: 'It is gone.' }),
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request, reply) => {
      const { model, alias } = request.params;
      await deleteAlias(parts().store, actorOf(request), model, alias, request.query.expectedRevision);
      return reply.code(204).send(null);
    },
  );
}
