/** The lane of the inference service: its scoring routes and its health, by the functions that Fastify's routes call. */
import { matches, Name } from '@assay/contracts';
import type { App } from '@assay/http';
import { addLane, type LaneAnswer, type LaneRequest, type LaneRoute } from '@assay/lane';
import { createMetrics, type Registry } from '@assay/runtime';
import type { ScoringRoutesOptions } from '../http/named-routes.ts';
import { createInfer } from '../http/oip/infer.ts';
import { SERVER_LIVE } from '../http/oip/routes.ts';
import { HEADER_LENGTH } from '../http/oip/split-body.ts';
import { createScore } from '../http/score.ts';
import type { ScoringAnswer, ScoringRequest } from '../http/scoring-body.ts';
import { laneMetrics } from './metrics.ts';

export interface OpenLaneOptions extends ScoringRoutesOptions {
  readonly isReady: () => boolean;
  readonly registry: Registry;
}

const JSON_HEADERS = { 'content-type': 'application/json' } as const;

/** Before the app listens. */
export function openLane(app: App, options: OpenLaneOptions): void {
  const { metrics } = createMetrics(laneMetrics, { registry: options.registry });
  const lane = addLane(app, {
    routes: laneRoutes(options),
    handedOver: (reason) => metrics.handovers.bind({ reason }).inc(),
    passedOn: (reason) => metrics.passedOn.bind({ reason }).inc(),
  });
  const connections = metrics.connections.bind({});
  metrics.connections.onScrape(() => connections.set(lane.connections));
}

function laneRoutes(options: OpenLaneOptions): LaneRoute[] {
  const { bodyLimitBytes, isReady } = options;
  const infer = createInfer(options);
  const health = (pattern: string, answer: () => LaneAnswer): LaneRoute => ({
    method: 'GET',
    pattern,
    access: 'public',
    bodyLimitBytes: 0,
    takes: () => true,
    handle: answer,
  });
  const inference = (pattern: string): LaneRoute => ({
    method: 'POST',
    pattern,
    access: 'score',
    endpointParam: 'model',
    bodyLimitBytes,
    takes: ({ headers }) =>
      headers[HEADER_LENGTH] !== undefined || (headers['content-type'] ?? 'application/json') === 'application/json',
    handle: answerBy(infer),
  });
  return [
    inference('/v2/models/:model/infer'),
    inference('/v2/models/:model/versions/:version/infer'),
    {
      method: 'POST',
      pattern: '/v1/endpoints/:name/score',
      access: 'score',
      endpointParam: 'name',
      bodyLimitBytes,
      takes: ({ headers, params }) => headers['content-type'] === 'application/json' && matches(Name, params.name),
      handle: answerBy(createScore(options)),
    },
    health('/v2/health/live', () => answerJson(200, SERVER_LIVE)),
    health('/v2/health/ready', () => {
      const ready = isReady();
      return answerJson(ready ? 200 : 503, { ready });
    }),
  ];
}

function answerBy(score: (request: ScoringRequest) => Promise<ScoringAnswer>) {
  return (request: LaneRequest): Promise<LaneAnswer> =>
    score({ raw: request, body: request.body, params: request.params });
}

function answerJson(statusCode: number, body: unknown): LaneAnswer {
  return { statusCode, headers: JSON_HEADERS, text: JSON.stringify(body) };
}
