/** `POST /v1/outcomes`: what predictions turned out to be. They are passed on; what is made of them is monitoring's. */
import { AssayError, OutcomesReported, ReportOutcomes } from '@assay/contracts';
import type { App } from '@assay/http';
import { childTrace, parseTimeoutMs, TIMEOUT_HEADER } from '@assay/runtime';
import type { Convergence } from '../domain/convergence.ts';
import { reportOutcomes } from '../outcomes/report-outcomes.ts';
import type { EventSink } from '../predictions/prediction-log.ts';

export interface OutcomeRoutesOptions {
  readonly convergence: Convergence;
  /** Undefined where there is no event log. */
  readonly sink: EventSink | undefined;
  readonly reported: (endpoint: string, count: number) => void;
}

const DEFAULT_TIMEOUT_MS = 10_000;

export function addOutcomeRoutes(app: App, { convergence, sink, reported }: OutcomeRoutesOptions): void {
  app.post(
    '/v1/outcomes',
    {
      config: { access: 'score' },
      schema: {
        tags: ['scoring'],
        summary: 'Report what predictions turned out to be',
        description:
          'Answered when all are durable in the event log, each an event `assay.outcomes.reported.v1` whose subject is the prediction. Sending the same again changes nothing; of different ones for one prediction the last one counts.',
        body: ReportOutcomes,
        response: { 202: OutcomesReported },
      },
    },
    async (request, reply) => {
      const { body, caller, headers, traceContext } = request;
      const { endpoint, outcomes } = body;
      const mayNot = caller?.endpoints != null && !caller.endpoints.has(endpoint);
      if (mayNot) {
        throw new AssayError('PERMISSION_DENIED', `key ${caller.keyId} may not report for ${JSON.stringify(endpoint)}`);
      }
      const status = convergence.status().find(({ wanted }) => wanted.name === endpoint);
      if (status === undefined) throw new AssayError('NOT_FOUND', `there is no endpoint "${endpoint}"`);
      if (sink === undefined) {
        throw new AssayError(
          'FAILED_PRECONDITION',
          'outcomes have nowhere to go: this service has no event log (ASSAY_INFERENCE_EVENTS_URL, or Kafka)',
        );
      }
      const signal = AbortSignal.timeout(parseTimeoutMs(headers[TIMEOUT_HEADER], DEFAULT_TIMEOUT_MS));
      const reporter = {
        endpointId: status.wanted.id,
        principal: caller?.principal ?? 'unknown',
        nowMs: Date.now(),
        trace: traceContext === undefined ? {} : childTrace(traceContext),
      };
      try {
        await reportOutcomes(sink, body, reporter, signal);
      } catch (cause) {
        if (!signal.aborted) throw cause;
        throw new AssayError('UNAVAILABLE', 'the event log did not take the outcomes in time; send them again', {
          cause,
        });
      }
      reported(endpoint, outcomes.length);
      return reply.code(202).send({ accepted: outcomes.length });
    },
  );
}
