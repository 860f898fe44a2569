/** The route by which a running job logs predictions. What is known of the job is taken from its record, not from it. */
import {
  AssayError,
  LogBatchPredictions,
  PREDICTIONS_LOGGED,
  type PredictionEntry,
  type PredictionsLogged,
  TOPICS,
} from '@assay/contracts';
import { newEvent } from '@assay/events';
import { type App, errorResponses } from '@assay/http';
import { JobParams, type PartsOf, tokenOf } from '@assay/job-service';
import { childTrace } from '@assay/runtime';
import Type from 'typebox';
import type { Batch } from '../kind.ts';

/** The job waits so long for the event log, then drops them. */
const PUBLISH_TIMEOUT_MS = 10_000;

export function predictionRoutes(app: App, parts: PartsOf<Batch>): void {
  app.post(
    '/v1/jobs/:id/predictions',
    {
      config: { access: 'own' }, // not an API key: the token of the attempt
      schema: {
        tags: ['reports of a running job'],
        operationId: 'logJobPredictions',
        summary: 'Log predictions',
        params: JobParams,
        body: LogBatchPredictions,
        response: {
          204: Type.Null({ description: 'They are in the event log.' }),
          ...errorResponses('INVALID_ARGUMENT', 'UNAUTHENTICATED', 'NOT_FOUND', 'FAILED_PRECONDITION', 'UNAVAILABLE'),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { bus, jobs } = parts();
      const { version } = await jobs.checkToken(id, tokenOf(request));
      if (version === null) throw new AssayError('FAILED_PRECONDITION', `job "${id}" has no version yet`);
      const { executionClass, predictions } = request.body;
      const at = Date.now();
      const trace = request.traceContext;
      const entries = predictions.map(
        (prediction): PredictionEntry => ({
          ...prediction,
          at,
          door: 'batch',
          // No endpoint routed it: the job stands in its place.
          endpointId: id,
          endpointName: version.modelName,
          routingRevision: 0,
          ...version,
          executionClass,
          ...(trace === undefined ? {} : { traceId: trace.traceId }),
        }),
      );
      const data: PredictionsLogged = { predictions: entries };
      const facts = {
        source: '/assay/batch',
        type: PREDICTIONS_LOGGED,
        subject: predictions[0]?.id ?? id, // any that spreads the events will do
        sequence: 0,
        data,
      };
      const event = newEvent(facts, trace === undefined ? {} : childTrace(trace));
      await bus.publish(TOPICS.predictions, [event], { signal: AbortSignal.timeout(PUBLISH_TIMEOUT_MS) });
      return reply.code(204).send(null);
    },
  );
}
