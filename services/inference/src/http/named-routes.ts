/** Named records: `POST /v1/endpoints/{name}/score`, and what describes an endpoint. */
import { AssayError, Name, ScoreRequest, ScoreResponse } from '@assay/contracts';
import { type App, acceptRawJson } from '@assay/http';
import { describeSignatureAsJsonSchema } from '@assay/scoring';
import Type from 'typebox';
import type { Convergence, EndpointStatus as DomainStatus } from '../domain/convergence.ts';
import type { Dataplane } from '../domain/dataplane.ts';
import type { PredictionLog } from '../predictions/prediction-log.ts';
import { describeEndpoint, describeEndpointFully } from './endpoint-status.ts';
import { EndpointDetails, EndpointStatusList } from './schemas.ts';
import { createScore } from './score.ts';
import { sendAnswer } from './send-answer.ts';

export interface ScoringRoutesOptions {
  readonly dataplane: Dataplane;
  readonly convergence: Convergence;
  readonly maxRecords: number;
  readonly maxExplainedRecords: number;
  readonly bodyLimitBytes: number;
  /** Absent where predictions are not logged. */
  readonly predictions?: PredictionLog;
}

const params = Type.Object({ name: Name }, { additionalProperties: false });
const tags = ['scoring'];
/** Who may score an endpoint may see what it takes. */
const config = { access: ['score', 'read'] } as const;

export function addNamedRoutes(app: App, options: ScoringRoutesOptions): void {
  addScoreRoute(app, options);
  const { convergence } = options;

  app.get(
    '/v1/endpoints',
    { config, schema: { tags, summary: 'The endpoints and how they stand', response: { 200: EndpointStatusList } } },
    () => ({
      routingRevision: convergence.wanted?.revision ?? null,
      items: convergence.status().map(describeEndpoint),
    }),
  );

  app.get(
    '/v1/endpoints/:name',
    {
      config,
      schema: { tags, summary: 'One endpoint, with its contract', params, response: { 200: EndpointDetails } },
    },
    (request) => describeEndpointFully(findStatus(options, request.params.name)),
  );

  app.get(
    '/v1/endpoints/:name/signature',
    {
      config,
      schema: {
        tags,
        summary: 'The JSON Schema of a request to this endpoint',
        params,
        response: {
          200: Type.Object(
            {},
            {
              additionalProperties: true,
              description: 'A JSON Schema (2020-12) of the request; `$defs` has one record and its outputs.',
            },
          ),
        },
      },
    },
    (request) => {
      const status = findStatus(options, request.params.name);
      const {
        request: schema,
        record,
        outputs,
      } = describeSignatureAsJsonSchema((status.applied?.endpoint ?? status.wanted).contract);
      return { ...schema, $defs: { record, outputs } };
    },
  );
}

function addScoreRoute(app: App, options: ScoringRoutesOptions): void {
  const score = createScore(options);
  const { bodyLimitBytes } = options;
  void app.register(async (plugin) => {
    const scope: App = plugin;
    acceptRawJson(scope);
    scope.post(
      '/v1/endpoints/:name/score',
      {
        bodyLimit: bodyLimitBytes,
        config: { access: 'score', endpointParam: 'name', readsContentEncoding: true },
        // The schemas are the documentation: the encoder made from the signature checks and packs in one pass.
        validatorCompiler: () => (value) => ({ value }),
        schema: {
          tags,
          summary: 'Score named records, all or none',
          description:
            'Headers: `Assay-Timeout-Ms` is how long the caller waits; `Assay-Routing-Key` sends equal keys to the same variant.',
          params,
          body: ScoreRequest,
          response: { 200: ScoreResponse },
        },
      },
      async (request, reply) => {
        return sendAnswer(reply, await score(request));
      },
    );
  });
}

function findStatus({ dataplane, convergence }: ScoringRoutesOptions, name: string): DomainStatus {
  const status = convergence.status().find(({ wanted }) => wanted.name === name);
  if (status !== undefined) return status;
  dataplane.endpoint(name);
  throw new AssayError('NOT_FOUND', `there is no endpoint "${name}"`);
}
