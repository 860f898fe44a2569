import { KeptPipeline, Page, PageQuery, PutPipeline } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import Type from 'typebox';
import { deletePipeline, getPipeline, listPipelines, putPipeline } from '../store/pipelines.ts';
import { actorOf } from './caller.ts';
import { DEFAULT_LIMIT } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { DocumentParams, ExpectedRevisionQuery } from './schemas.ts';

const tags = ['pipelines'];

export function pipelineRoutes(app: App, parts: PartsOf): void {
  app.get(
    '/v1/pipelines',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listPipelines',
        summary: 'List pipelines by name',
        querystring: PageQuery,
        response: { 200: Page(KeptPipeline, 'PipelinePage'), ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async ({ query: { after, limit = DEFAULT_LIMIT } }) =>
      listPipelines(parts().store.database.db, { limit, ...(after === undefined ? {} : { after }) }),
  );

  app.get(
    '/v1/pipelines/:name',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getPipeline',
        summary: 'Get a pipeline',
        params: DocumentParams,
        response: { 200: KeptPipeline, ...errorResponses('NOT_FOUND') },
      },
    },
    async ({ params }) => getPipeline(parts().store.database.db, params.name),
  );

  app.put(
    '/v1/pipelines/:name',
    {
      config: { access: 'promote' },
      schema: {
        tags,
        operationId: 'putPipeline',
        summary: 'Make or change a pipeline',
        description:
          'All of it, by compare-and-set: `expectedRevision` is the revision that was read, 0 for a pipeline that is not there. Inference services that run the pipelines of the registry have it within moments: one that changed ends what is under way and begins anew. Example: `{"expectedRevision": 0, "endpoint": "flight-delay", "input": "flights", "output": "flights.scored", "deadLetters": "flights.rejected"}`.',
        params: DocumentParams,
        body: PutPipeline,
        response: {
          200: KeptPipeline,
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request) => putPipeline(parts().store, actorOf(request), request.params.name, request.body),
  );

  app.delete(
    '/v1/pipelines/:name',
    {
      config: { access: 'promote' },
      schema: {
        tags,
        operationId: 'deletePipeline',
        summary: 'Delete a pipeline',
        description: 'It ends what is under way and leaves its consumer group, whose offsets stay with Kafka.',
        params: DocumentParams,
        querystring: ExpectedRevisionQuery,
        response: {
          204: Type.Null({ description: 'It is gone.' }),
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION'),
        },
      },
    },
    async (request, reply) => {
      await deletePipeline(parts().store, actorOf(request), request.params.name, request.query.expectedRevision);
      return reply.code(204).send(null);
    },
  );
}
