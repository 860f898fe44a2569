/** The prediction log for people and programs: find, list, replay. */
import { AssayError, LoggedPrediction, LoggedPredictions, type PredictionEntry, Replay } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import type { ReplayedPrediction } from '../replay/replayer.ts';
import type { PartsOf } from './parts.ts';

const tags = ['predictions'];
const DEFAULT_LIMIT = 100;
/** The last instant that a Date can hold. */
const LATEST_MS = 8_640_000_000_000_000;

const PredictionParams = Type.Object(
  { id: Type.String({ minLength: 1, maxLength: 256 }) },
  { additionalProperties: false },
);

const PredictionsQuery = Type.Object(
  {
    endpoint: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'Name or id of an endpoint.' })),
    from: Type.Optional(Type.String({ description: 'Not before: milliseconds since 1970, or RFC 3339.' })),
    to: Type.Optional(Type.String({ description: 'Not after: milliseconds since 1970, or RFC 3339.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: `Default ${DEFAULT_LIMIT}.` })),
  },
  { additionalProperties: false },
);

export function predictionRoutes(app: App, parts: PartsOf): void {
  app.get(
    '/v1/predictions/:id',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getPrediction',
        summary: 'Get a prediction from the log',
        params: PredictionParams,
        response: { 200: LoggedPrediction, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const found = await parts().predictions.get(request.params.id, callerGone(reply));
      reply.header('content-type', 'application/json');
      return reply.send(predictionText(found) as never); // the LoggedPrediction as text, its numbers exact
    },
  );

  app.get(
    '/v1/predictions',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listPredictions',
        summary: 'List logged predictions, newest first',
        querystring: PredictionsQuery,
        response: { 200: LoggedPredictions, ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async (request, reply) => {
      const { endpoint, from, to, limit = DEFAULT_LIMIT } = request.query;
      const fromMs = instantOf('from', from, 0);
      const toMs = instantOf('to', to, LATEST_MS);
      const found = await parts().predictions.list({ endpoint, fromMs, toMs, limit }, callerGone(reply));
      reply.header('content-type', 'application/json');
      return reply.send(`{"items":[${found.map(predictionText).join(',')}]}` as never); // as above
    },
  );

  app.post(
    '/v1/predictions/:id/replay',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'replayPrediction',
        summary: 'Score a logged prediction again and compare the bits',
        description: 'With the version that made it, by id and digest. It changes nothing and is not logged.',
        params: PredictionParams,
        response: { 200: Replay, ...errorResponses('NOT_FOUND', 'FAILED_PRECONDITION', 'OVERLOADED', 'UNAVAILABLE') },
      },
    },
    async (request, reply) => {
      const signal = callerGone(reply);
      const { predictions, replayer } = parts();
      const replayed = await replayer.replay(await predictions.get(request.params.id, signal), signal);
      reply.header('content-type', 'application/json');
      return reply.send(replayText(replayed) as never); // the Replay as text, its numbers exact
    },
  );
}

/** Record and outputs are exact JSON already: they are put in as they are. */
function predictionText({ record, outputs, ...facts }: PredictionEntry): string {
  return `${JSON.stringify(facts).slice(0, -1)},"record":${record},"outputs":${outputs}}`;
}

function replayText({ prediction, outputs, executionClass, batchInvariant, differences }: ReplayedPrediction): string {
  const { id, versionId, digest } = prediction;
  const facts = {
    id,
    versionId,
    digest,
    same: differences.length === 0,
    sameExecutionClass: executionClass === prediction.executionClass,
    executionClass: { logged: prediction.executionClass, replayed: executionClass },
    batchInvariant,
    differences,
  };
  return `${JSON.stringify(facts).slice(0, -1)},"logged":${prediction.outputs},"replayed":${outputs}}`;
}

function instantOf(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const atMs = /^\d{1,15}$/.test(text) ? Number(text) : RFC_3339.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isSafeInteger(atMs)) return atMs;
  const expected = 'milliseconds since 1970, or an RFC 3339 time with an offset such as 2026-01-31T12:00:00Z';
  throw new AssayError(
    'INVALID_ARGUMENT',
    `query ${name}: ${JSON.stringify(text.slice(0, 60))} is no time; expected ${expected}`,
    {
      details: [{ place: `query.${name}`, message: 'is no time', expected }],
    },
  );
}
const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

/** Aborted when the caller hangs up. */
function callerGone(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new AssayError('CANCELLED', 'the caller is gone'));
  });
  return gone.signal;
}
