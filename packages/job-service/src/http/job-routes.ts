/** The routes for people and programs: create, list, get, wait, cancel, read the log. */
import { Readable } from 'node:stream';
import type { RegistryClient } from '@assay/client';
import { AssayError, Id, Page, PageQuery } from '@assay/contracts';
import type { Acting } from '@assay/events';
import { type App, errorResponses } from '@assay/http';
import { childTrace } from '@assay/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { checkRequest } from '../check-request.ts';
import type { CreateJobOf, JobKind, JobTypes } from '../kind.ts';
import type { PartsOf } from './parts.ts';

const tags = ['jobs'];
const DEFAULT_LIMIT = 100;

export const JobParams = Type.Object({ id: Id }, { additionalProperties: false });
const JobQuery = Type.Object(
  {
    after: Type.Optional(Type.Integer({ minimum: 0, description: 'Answer only when the revision is above it …' })),
    waitMs: Type.Optional(Type.Integer({ minimum: 0, description: '… or when this time is over.' })),
  },
  { additionalProperties: false },
);
const LogQuery = Type.Object(
  { follow: Type.Optional(Type.Boolean({ description: 'Go on until the job has ended.' })) },
  { additionalProperties: false },
);

export function jobRoutes<T extends JobTypes>(app: App, kind: JobKind<T>, parts: PartsOf<T>): void {
  const { job: Job, create: CreateJob, pageName, createSummary, scope } = kind.api;

  app.post(
    '/v1/jobs',
    {
      config: { access: scope },
      schema: {
        tags,
        operationId: 'createJob',
        summary: createSummary,
        description:
          'Records the job and answers at once; it runs when its turn comes. The same `idempotencyKey` gives the job that it made before.',
        body: CreateJob,
        response: {
          201: Job,
          ...errorResponses(
            'INVALID_ARGUMENT',
            ...(kind.keptSpec === undefined ? [] : (['NOT_FOUND', 'UNAVAILABLE'] as const)),
          ),
        },
      },
    },
    async (request, reply) => {
      const { config, jobs, registry } = parts();
      const asked = request.body as CreateJobOf<T> | NamingJob; // by its schema, of the same kind
      if (namesSpec(asked) && asked.idempotencyKey !== undefined) {
        // Whatever has become of the spec since.
        const before = await jobs.findByKey(asked.idempotencyKey);
        if (before !== undefined) {
          if (request.caller !== null) kind.authorize(request.caller, before.spec);
          return reply.code(201).send(before);
        }
      }
      const body: CreateJobOf<T> = namesSpec(asked) ? await withKeptSpec(kind, asked, registry) : asked;
      if (request.caller !== null) kind.authorize(request.caller, body.spec);
      const baseDir = checkRequest(kind, body, config);
      return reply.code(201).send(await jobs.create({ ...body, baseDir }, actingBy(request)));
    },
  );

  app.get(
    '/v1/jobs',
    {
      config: { access: ['read', scope] },
      schema: {
        tags,
        operationId: 'listJobs',
        summary: 'List jobs, newest first',
        querystring: PageQuery,
        response: { 200: Page(Job, pageName), ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async (request) => {
      const { limit = DEFAULT_LIMIT, after } = request.query;
      return parts().jobs.list({ limit, ...(after === undefined ? {} : { after }) });
    },
  );

  app.get(
    '/v1/jobs/:id',
    {
      config: { access: ['read', scope] },
      schema: {
        tags,
        operationId: 'getJob',
        summary: 'Get a job, or wait for it to change',
        description:
          'With `after` and `waitMs` the answer comes as soon as the revision is above `after`, or when the wait is over with the job as it is: compare the revision.',
        params: JobParams,
        querystring: JobQuery,
        response: { 200: Job, ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'OVERLOADED') },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { after, waitMs = 0 } = request.query;
      const { config, jobs, watch } = parts();
      if (waitMs > config.maxLongPollMs) throw tooLong(waitMs, config.maxLongPollMs);
      if (after === undefined || waitMs === 0) return jobs.get(id);
      // Waiting begins before the job is read: a change in between is not missed.
      const cancelled = new AbortController();
      const changed = watch.wait(id, waitMs, AbortSignal.any([callerGone(reply), cancelled.signal]));
      changed.catch(() => undefined);
      try {
        const job = await jobs.get(id);
        if (job.revision > after) return job;
        await changed;
        return await jobs.get(id);
      } finally {
        cancelled.abort();
      }
    },
  );

  app.post(
    '/v1/jobs/:id/cancel',
    {
      config: { access: scope },
      schema: {
        tags,
        operationId: 'cancelJob',
        summary: 'Stop a job',
        description: 'Answers at once; the job ends soon after. One that has ended stays as it is.',
        params: JobParams,
        response: { 200: Job, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => {
      return parts().cancel(request.params.id, actingBy(request));
    },
  );

  app.get(
    '/v1/jobs/:id/logs',
    {
      config: { access: ['read', scope] },
      schema: {
        tags,
        operationId: 'getJobLogs',
        summary: 'Read the log of a job',
        params: JobParams,
        querystring: LogQuery,
        produces: ['text/plain'],
        response: {
          200: Type.Unsafe<Readable>(Type.String({ description: 'What all its attempts wrote.' })),
          ...errorResponses('NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      await parts().jobs.get(id); // NOT_FOUND before the answer begins
      const log = parts().logs(id, { follow: request.query.follow ?? false, signal: callerGone(reply) });
      return reply.type('text/plain; charset=utf-8').send(Readable.from(log, { objectMode: false }));
    },
  );
}

function tooLong(waitMs: number, maxMs: number): AssayError {
  const detail = { place: 'query.waitMs', message: `${waitMs} is too long`, expected: `at most ${maxMs}` };
  return new AssayError('INVALID_ARGUMENT', `waitMs: ${waitMs} is more than ${maxMs} (setting maxLongPollMs)`, {
    details: [detail],
  });
}

/**
 * Who asks, for the audit chain (`local` as long as there are no keys).
 * @throws AssayError INTERNAL on a route that declares no scope: nothing is done in nobody's name
 */
function actingBy({ caller, id, traceContext }: FastifyRequest): Acting {
  if (caller === null) throw new AssayError('INTERNAL', 'a route that writes must declare the scope that it needs');
  const { principal, keyId } = caller;
  return { principal, keyId, requestId: id, ...childTrace(traceContext) };
}

/** Aborted when the caller goes away before the answer was sent. */
function callerGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const { raw } = reply;
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort(new AssayError('CANCELLED', 'the caller went away before the answer'));
  });
  return controller.signal;
}

/** A request for a job by a spec that the registry keeps. */
type NamingJob = Omit<CreateJobOf<JobTypes>, 'spec'> & { readonly spec: { readonly name: string } };

function namesSpec<T extends JobTypes>(asked: CreateJobOf<T> | NamingJob): asked is NamingJob {
  return 'name' in asked.spec && Object.keys(asked.spec).length === 1;
}

async function withKeptSpec<T extends JobTypes>(
  { keptSpec }: JobKind<T>,
  { spec: { name }, ...rest }: NamingJob,
  registry: RegistryClient,
): Promise<CreateJobOf<T>> {
  if (keptSpec === undefined) throw new AssayError('INVALID_ARGUMENT', 'spec: jobs of this kind are not made by name');
  const { spec, revision, specSha256 } = await keptSpec(name, registry);
  return { ...rest, spec, specSource: { name, revision, specSha256 } };
}
