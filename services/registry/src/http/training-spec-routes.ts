import { KeptTrainingSpec, Page, PageQuery, PutTrainingSpec } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import Type from 'typebox';
import { deleteTrainingSpec, getTrainingSpec, listTrainingSpecs, putTrainingSpec } from '../store/training-specs.ts';
import { actorOf } from './caller.ts';
import { DEFAULT_LIMIT } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { DocumentParams, ExpectedRevisionQuery } from './schemas.ts';

const tags = ['training specs'];

export function trainingSpecRoutes(app: App, parts: PartsOf): void {
  app.get(
    '/v1/training-specs',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listTrainingSpecs',
        summary: 'List training specs by name',
        querystring: PageQuery,
        response: { 200: Page(KeptTrainingSpec, 'TrainingSpecPage'), ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async ({ query: { after, limit = DEFAULT_LIMIT } }) =>
      listTrainingSpecs(parts().store.database.db, { limit, ...(after === undefined ? {} : { after }) }),
  );

  app.get(
    '/v1/training-specs/:name',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getTrainingSpec',
        summary: 'Get a training spec',
        params: DocumentParams,
        response: { 200: KeptTrainingSpec, ...errorResponses('NOT_FOUND') },
      },
    },
    async ({ params }) => getTrainingSpec(parts().store.database.db, params.name),
  );

  app.put(
    '/v1/training-specs/:name',
    {
      config: { access: 'train' },
      schema: {
        tags,
        operationId: 'putTrainingSpec',
        summary: 'Make or change a training spec',
        description:
          'All of it, by compare-and-set: `expectedRevision` is the revision that was read, 0 for a spec that is not there. A job that is made by its name has the spec as it was then. Its data is a registered dataset, or an absolute path. What the trainer itself refuses is told when a job is made of it.',
        params: DocumentParams,
        body: PutTrainingSpec,
        response: { 200: KeptTrainingSpec, ...errorResponses('INVALID_ARGUMENT', 'STALE_REVISION') },
      },
    },
    async (request) => putTrainingSpec(parts().store, actorOf(request), request.params.name, request.body),
  );

  app.delete(
    '/v1/training-specs/:name',
    {
      config: { access: 'train' },
      schema: {
        tags,
        operationId: 'deleteTrainingSpec',
        summary: 'Delete a training spec',
        description: 'Jobs that were made of it have it still.',
        params: DocumentParams,
        querystring: ExpectedRevisionQuery,
        response: {
          204: Type.Null({ description: 'It is gone.' }),
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION'),
        },
      },
    },
    async (request, reply) => {
      await deleteTrainingSpec(parts().store, actorOf(request), request.params.name, request.query.expectedRevision);
      return reply.code(204).send(null);
    },
  );
}
