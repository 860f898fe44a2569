import { Endpoint, Page, PageQuery, PutEndpoint } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import Type from 'typebox';
import { deleteEndpoint, getEndpoint, listEndpoints, putEndpoint } from '../store/endpoints.ts';
import { actorOf, checkForce } from './caller.ts';
import { DEFAULT_LIMIT } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { EndpointParams, ExpectedRevisionQuery } from './schemas.ts';

const tags = ['endpoints'];

export function endpointRoutes(app: App, parts: PartsOf): void {
  app.get(
    '/v1/endpoints',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listEndpoints',
        summary: 'List endpoints by name',
        querystring: PageQuery,
        response: { 200: Page(Endpoint, 'EndpointPage'), ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT } = request.query;
      return listEndpoints(parts().store.database.db, { limit, ...(after === undefined ? {} : { after }) });
    },
  );

  app.get(
    '/v1/endpoints/:name',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getEndpoint',
        summary: 'Get an endpoint',
        params: EndpointParams,
        response: { 200: Endpoint, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => getEndpoint(parts().store.database.db, request.params.name),
  );

  app.put(
    '/v1/endpoints/:name',
    {
      config: { access: 'promote' },
      schema: {
        tags,
        operationId: 'putEndpoint',
        summary: 'Make or change an endpoint',
        description:
          'Compare-and-set: `expectedRevision` is the revision that was read, 0 for an endpoint that is not there. It has `variants`, whose weights sum to 10,000, or it follows an alias. Every version behind it must satisfy its contract: what the body says, or the one that it has, or the signature of its first version. What is left out stays as it is; `limits`, `cache` and `shadows` are set all at once, and `{}`, `null` and `[]` remove them. A version that gets more traffic than it has there must meet the gates of its model that guard the endpoint; `force` goes past them, and needs the scope `admin`. Examples: `{"expectedRevision": 0, "follow": {"model": "flight-delay", "alias": "champion"}}`, `{"expectedRevision": 3, "variants": [{"versionId": "ver_…", "weight": 9000}, {"versionId": "ver_…", "weight": 1000}]}`.',
        params: EndpointParams,
        body: PutEndpoint,
        response: {
          200: Endpoint,
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request) => {
      checkForce(request, request.body.force);
      return putEndpoint(parts().store, actorOf(request), request.params.name, request.body);
    },
  );

  app.delete(
    '/v1/endpoints/:name',
    {
      config: { access: 'promote' },
      schema: {
        tags,
        operationId: 'deleteEndpoint',
        summary: 'Delete an endpoint',
        description: 'Applications that call it get NOT_FOUND from then on. Not while a pipeline scores at it.',
        params: EndpointParams,
        querystring: ExpectedRevisionQuery,
        response: {
          204: Type.Null({ description: 'It is gone.' }),
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request, reply) => {
      await deleteEndpoint(parts().store, actorOf(request), request.params.name, request.query.expectedRevision);
      return reply.code(204).send(null);
    },
  );
}
