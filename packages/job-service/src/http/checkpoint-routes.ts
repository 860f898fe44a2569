/** The routes for a running job to write down how far it is, and for its next attempt to read it. */
import { type App, errorResponses } from '@assay/http';
import Type, { type TSchema } from 'typebox';
import type { JobTypes } from '../kind.ts';
import { JobParams } from './job-routes.ts';
import type { PartsOf } from './parts.ts';
import { tokenOf } from './report-routes.ts';

const tags = ['reports of a running job'];
/** Not an API key: the token of the attempt. */
const config = { access: 'own' } as const;

const CheckpointParams = Type.Object(
  { ...JobParams.properties, number: Type.Integer({ minimum: 0, maximum: 1_000_000 }) },
  { additionalProperties: false },
);

/** @param Entry what a job writes down */
export function checkpointRoutes<T extends JobTypes>(app: App, Entry: TSchema, parts: PartsOf<T>): void {
  app.put(
    '/v1/jobs/:id/checkpoints/:number',
    {
      config,
      schema: {
        tags,
        operationId: 'putJobCheckpoint',
        summary: 'Write down what is done',
        description: 'Entries are numbered from 0 on, each written once; the same again changes nothing.',
        params: CheckpointParams,
        body: Entry,
        response: {
          204: Type.Null({ description: 'It is recorded.' }),
          ...errorResponses('INVALID_ARGUMENT', 'UNAUTHENTICATED', 'NOT_FOUND', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request, reply) => {
      const { id, number } = request.params;
      await parts().checkpoints.put(id, tokenOf(request), number, request.body as object); // every kind writes down objects
      return reply.code(204).send(null);
    },
  );
  app.get(
    '/v1/jobs/:id/checkpoints',
    {
      config,
      schema: {
        tags,
        operationId: 'listJobCheckpoints',
        summary: 'Read what was written down',
        params: JobParams,
        response: {
          200: Type.Object({ items: Type.Array(Type.Unknown(), { description: 'In their order.' }) }),
          ...errorResponses('UNAUTHENTICATED', 'NOT_FOUND', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request) => {
      return { items: await parts().checkpoints.list(request.params.id, tokenOf(request)) };
    },
  );
}
