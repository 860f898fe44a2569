/** The routes for a running job itself: progress, result, failure, each with the token of that attempt alone. */
import { AssayError, JobFailure, JobProgress } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { JobKind, JobTypes } from '../kind.ts';
import type { JobReport } from '../store/jobs.ts';
import { JobParams } from './job-routes.ts';
import type { PartsOf } from './parts.ts';

const tags = ['reports of a running job'];
const response = {
  204: Type.Null({ description: 'It is recorded.' }),
  ...errorResponses('INVALID_ARGUMENT', 'UNAUTHENTICATED', 'NOT_FOUND', 'FAILED_PRECONDITION'),
};
const shared = { tags, params: JobParams, response };
/** Not an API key: the token of the attempt, which `report` checks. */
const config = { access: 'own' } as const;

export function reportRoutes<T extends JobTypes>(app: App, kind: JobKind<T>, parts: PartsOf<T>): void {
  const { result: Result, resultSummary } = kind.api;
  const record = (request: FastifyRequest, id: string, report: JobReport<T>) =>
    parts().jobs.report(id, tokenOf(request), report);

  app.put(
    '/v1/jobs/:id/progress',
    { config, schema: { ...shared, operationId: 'putJobProgress', summary: 'Say how far it is', body: JobProgress } },
    async (request, reply) => {
      const { body: progress } = request;
      const before = await record(request, request.params.id, { kind: 'progress', progress });
      const { jobs, observer } = parts();
      observer.progressed?.(before, progress, await jobs.get(request.params.id));
      return reply.code(204).send(null);
    },
  );
  app.put(
    '/v1/jobs/:id/result',
    { config, schema: { ...shared, operationId: 'putJobResult', summary: resultSummary, body: Result } },
    async (request, reply) => {
      const result = request.body as T['result']; // by its schema, of the same kind
      await record(request, request.params.id, { kind: 'result', result });
      parts().observer.resulted?.(result);
      return reply.code(204).send(null);
    },
  );
  app.put(
    '/v1/jobs/:id/failure',
    { config, schema: { ...shared, operationId: 'putJobFailure', summary: 'Say why it fails', body: JobFailure } },
    async (request, reply) => {
      await record(request, request.params.id, { kind: 'failure', failure: request.body });
      return reply.code(204).send(null);
    },
  );
}

/** @throws AssayError UNAUTHENTICATED */
export function tokenOf(request: FastifyRequest): string {
  const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined)
    throw new AssayError('UNAUTHENTICATED', 'Authorization: Bearer and the token of the job is needed');
  return token;
}
