/** The Open Inference Protocol v2 over REST. The model of the path is an endpoint; a version pins one of its variants. */
import { AssayError, type Signature } from '@assay/contracts';
import { type App, acceptRawJson, renderErrorsUnder } from '@assay/http';
import type Type from 'typebox';
import { pinnedVariant, type ServedEndpoint } from '../../domain/routing-table.ts';
import type { ScoringRoutesOptions } from '../named-routes.ts';
import { sendAnswer } from '../send-answer.ts';
import { DATATYPE_OF } from './datatypes.ts';
import { addExtensionRoutes } from './extension-routes.ts';
import { createInfer, type ModelParams } from './infer.ts';
import { PATHS, SEEN, tags } from './model-paths.ts';
import {
  InferRequestBody,
  InferResponseBody,
  ModelList,
  ModelMetadata,
  ModelReady,
  OipError,
  ServerLive,
  ServerMetadata,
  ServerReady,
} from './schemas.ts';

export interface OipRoutesOptions extends ScoringRoutesOptions {
  readonly version: string;
  readonly isReady: () => boolean;
}

/** Those of Triton's that are spoken, by its names for them. */
const EXTENSIONS = ['binary_tensor_data', 'classification', 'model_configuration', 'model_repository', 'statistics'];

export const SERVER_LIVE = { live: true };

export function addOipRoutes(app: App, options: OipRoutesOptions): void {
  renderErrorsUnder(app, '/v2', (error) => ({ statusCode: error.kind.httpStatus, body: { error: error.message } }));
  addServerRoutes(app, options);
  addModelRoutes(app, options);
  addInferRoutes(app, options);
  addExtensionRoutes(app, options);
}

function addServerRoutes(app: App, { dataplane, version, isReady }: OipRoutesOptions): void {
  // Load balancers and orchestrators ask them, and have no key.
  const config = { access: 'public', takesUnknownQuery: true } as const;
  app.get(
    '/v2',
    { config, schema: { tags, summary: 'Server metadata', response: { 200: ServerMetadata, default: OipError } } },
    () => ({ name: 'assay', version, extensions: EXTENSIONS }),
  );
  app.get(
    '/v2/health/live',
    { config, schema: { tags, summary: 'Server live', response: { 200: ServerLive, default: OipError } } },
    () => SERVER_LIVE,
  );
  app.get(
    '/v2/health/ready',
    {
      config,
      schema: { tags, summary: 'Server ready', response: { 200: ServerReady, 503: ServerReady, default: OipError } },
    },
    async (_request, reply) => {
      const ready = isReady();
      return reply.code(ready ? 200 : 503).send({ ready });
    },
  );
  app.get(
    '/v2/models',
    { config: SEEN, schema: { tags, summary: 'Names of the models', response: { 200: ModelList, default: OipError } } },
    () => ({ models: Array.from(dataplane.endpoints(), (served) => served.endpoint.name).sort() }),
  );
}

function addModelRoutes(app: App, { dataplane }: OipRoutesOptions): void {
  const config = SEEN;
  for (const { path, params } of PATHS) {
    app.get(
      path,
      {
        config,
        schema: { tags, summary: 'Model metadata', params, response: { 200: ModelMetadata, default: OipError } },
      },
      (request) => {
        const { model, version } = paramsOf(request);
        return describeModel(dataplane.endpoint(model), version);
      },
    );
    app.get(
      `${path}/ready`,
      {
        config,
        schema: {
          tags,
          summary: 'Model ready',
          params,
          response: { 200: ModelReady, 503: ModelReady, default: OipError },
        },
      },
      async (request, reply) => {
        const { model, version } = paramsOf(request);
        const ready = isModelReady(() => dataplane.endpoint(model), version);
        return reply.code(ready ? 200 : 503).send({ name: model, ready });
      },
    );
  }
}

function addInferRoutes(app: App, options: OipRoutesOptions): void {
  const infer = createInfer(options);
  const { bodyLimitBytes } = options;
  void app.register(async (plugin) => {
    const scope: App = plugin;
    // A body without Content-Type is one of the protocol's ways to send JSON.
    acceptRawJson(scope, ['application/json', '*']);
    for (const { path, params } of PATHS) {
      scope.post(
        `${path}/infer`,
        {
          bodyLimit: bodyLimitBytes,
          validatorCompiler: () => (value) => ({ value }),
          config: { access: 'score', endpointParam: 'model', takesUnknownQuery: true, readsContentEncoding: true },
          schema: {
            tags,
            summary: 'Infer, all rows or none',
            params,
            body: InferRequestBody,
            response: { 200: InferResponseBody, default: OipError },
          },
        },
        async (request, reply) => {
          return sendAnswer(reply, await infer(request));
        },
      );
    }
  });
}

function paramsOf(request: { readonly params: unknown }): ModelParams {
  return request.params as ModelParams; // of the two paths above
}

export function isModelReady(find: () => ServedEndpoint, version: string | undefined): boolean {
  let served: ServedEndpoint;
  try {
    served = find();
  } catch (error) {
    // It is wanted and being loaded; one that nobody asked for stays NOT_FOUND.
    if (error instanceof AssayError && error.code === 'UNAVAILABLE') return false;
    throw error;
  }
  return version === undefined ? served.complete : pinnedVariant(served, version).live !== undefined;
}

/** Without a version the contract, which each variant satisfies, with the shapes of the variant that has most traffic. */
export function describeModel(served: ServedEndpoint, version: string | undefined): Type.Static<typeof ModelMetadata> {
  const variants = version === undefined ? served.variants : [pinnedVariant(served, version)];
  const [main] = variants.toSorted((a, b) => b.weight - a.weight);
  const loaded = main?.live?.loaded;
  const { contract } = served.endpoint;
  const { features, outputs }: Signature = version === undefined ? contract : (loaded?.signature ?? contract);
  return {
    name: served.endpoint.name,
    versions: variants.map((variant) => String(variant.version.version)),
    platform: 'onnxruntime_onnx',
    inputs: features.map(({ name, dtype, shape }) => ({
      name,
      datatype: DATATYPE_OF[dtype],
      shape: [-1, ...(shape.length === 0 ? [1] : shape)],
    })),
    outputs: outputs.map(({ name, dtype, shape }) => ({
      name,
      datatype: DATATYPE_OF[dtype],
      shape: [-1, ...(loaded?.outputTails.get(name) ?? shape)],
    })),
  };
}
