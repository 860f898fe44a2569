/**
 * Triton's extensions of the protocol beside inference: statistics, configuration and the repository. What models there are
 * is the registry's to say: here they are listed, not loaded by hand.
 * https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/README.html
 */
import { AssayError, matches } from '@assay/contracts';
import { type App, acceptRawJson, parseJson } from '@assay/http';
import type { Convergence } from '../../domain/convergence.ts';
import type { Dataplane } from '../../domain/dataplane.ts';
import type { ModelParams } from './infer.ts';
import { configOf } from './model-config.ts';
import { modelParams, PATHS, SEEN, tags } from './model-paths.ts';
import { repositoryIndex } from './repository-index.ts';
import { ModelConfig, ModelStatistics, OipError, RepositoryIndex, RepositoryIndexRequest } from './schemas.ts';
import { statisticsOf } from './statistics.ts';

export interface ExtensionRoutesOptions {
  readonly dataplane: Dataplane;
  readonly convergence: Convergence;
}

export function addExtensionRoutes(app: App, { dataplane, convergence }: ExtensionRoutesOptions): void {
  app.get(
    '/v2/models/stats',
    {
      config: SEEN,
      schema: { tags, summary: 'Statistics of all models', response: { 200: ModelStatistics, default: OipError } },
    },
    () => ({ model_stats: Array.from(dataplane.endpoints()).flatMap((served) => statisticsOf(served, undefined)) }),
  );
  for (const { path, params } of PATHS) {
    app.get(
      `${path}/stats`,
      {
        config: SEEN,
        schema: { tags, summary: 'Model statistics', params, response: { 200: ModelStatistics, default: OipError } },
      },
      (request) => {
        const { model, version } = request.params as ModelParams; // of PATHS
        return { model_stats: statisticsOf(dataplane.endpoint(model), version) };
      },
    );
    app.get(
      `${path}/config`,
      {
        config: SEEN,
        schema: { tags, summary: 'Model configuration', params, response: { 200: ModelConfig, default: OipError } },
      },
      (request) => {
        const { model, version } = request.params as ModelParams; // of PATHS
        return configOf(dataplane.endpoint(model), version);
      },
    );
  }
  addRepositoryRoutes(app, convergence);
}

function addRepositoryRoutes(app: App, convergence: Convergence): void {
  void app.register(async (plugin) => {
    const scope: App = plugin;
    // The clients send no content type, and often no body.
    acceptRawJson(scope, ['application/json', '*']);
    const validatorCompiler = () => (value: unknown) => ({ value });
    scope.post(
      '/v2/repository/index',
      {
        config: SEEN,
        validatorCompiler,
        schema: {
          tags,
          summary: 'The models that there are, and whether they serve',
          body: RepositoryIndexRequest,
          response: { 200: RepositoryIndex, default: OipError },
        },
      },
      (request) => {
        return repositoryIndex(convergence.status(), asksForReadyOnly(request.body));
      },
    );
    for (const verb of ['load', 'unload'] as const) {
      scope.post(
        `/v2/repository/models/:model/${verb}`,
        {
          config: { access: 'admin', takesUnknownQuery: true },
          validatorCompiler,
          schema: {
            tags,
            summary: `Refused: models are ${verb}ed by way of the registry`,
            params: modelParams,
            response: { default: OipError },
          },
        },
        () => {
          throw new AssayError('FAILED_PRECONDITION', `models are not ${verb}ed by hand: ${INSTEAD[verb]}`);
        },
      );
    }
  });
}

const INSTEAD = {
  load: 'what is served follows the registry (put an endpoint there), or is what `assay serve` was started with',
  unload: 'what is served follows the registry (move the endpoint there), or is what `assay serve` was started with',
} as const;

function asksForReadyOnly(body: unknown): boolean {
  if (!Buffer.isBuffer(body) || body.length === 0) return false;
  const request = parseJson(body);
  if (!matches(RepositoryIndexRequest, request)) {
    throw new AssayError('INVALID_ARGUMENT', 'body: expected {"ready": true or false}, or nothing');
  }
  return request.ready === true;
}
