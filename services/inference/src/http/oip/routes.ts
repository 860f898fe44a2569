/** The Open Inference Protocol v2 over REST. The model of the path is an endpoint; a version pins one of its variants. */
import type { IncomingMessage } from 'node:http';
import { AssayError, type Signature } from '@assay/contracts';
import { type App, acceptRawJson, renderErrorsUnder } from '@assay/http';
import { newId } from '@assay/runtime';
import Type from 'typebox';
import type { Scored } from '../../domain/dataplane.ts';
import { pinnedVariant, type ServedEndpoint, type ServedVariant } from '../../domain/routing-table.ts';
import { recordOfTensors } from '../../predictions/record-of-tensors.ts';
import { readCaller } from '../caller.ts';
import type { ScoringRoutesOptions } from '../named-routes.ts';
import { readJson } from '../read-json.ts';
import { predictionId } from '../score-body.ts';
import { bodyBytes, type ScoringRequest } from '../scoring-body.ts';
import { DATATYPE_OF } from './datatypes.ts';
import { binaryRefused, type InferRequest, readInferRequest } from './read-infer-request.ts';
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
import { writeInferResponse } from './write-infer-response.ts';

export interface OipRoutesOptions extends ScoringRoutesOptions {
  readonly version: string;
  readonly isReady: () => boolean;
}

const tags = ['open inference protocol'];
/** Who may score a model may see what it takes. */
const SEEN = { access: ['score', 'read'], takesUnknownQuery: true } as const;
const modelParams = Type.Object({ model: Type.String() }, { additionalProperties: false });
const versionParams = Type.Object({ model: Type.String(), version: Type.String() }, { additionalProperties: false });
/** Each route once for the endpoint as it routes, once for a version of it. */
const PATHS = [
  { path: '/v2/models/:model', params: modelParams },
  { path: '/v2/models/:model/versions/:version', params: versionParams },
] as const;

export function addOipRoutes(app: App, options: OipRoutesOptions): void {
  renderErrorsUnder(app, '/v2', (error) => ({ statusCode: error.kind.httpStatus, body: { error: error.message } }));
  addServerRoutes(app, options);
  addModelRoutes(app, options);
  addInferRoutes(app, options);
}

function addServerRoutes(app: App, { dataplane, version, isReady }: OipRoutesOptions): void {
  // Load balancers and orchestrators ask them, and have no key.
  const config = { access: 'public', takesUnknownQuery: true } as const;
  app.get(
    '/v2',
    { config, schema: { tags, summary: 'Server metadata', response: { 200: ServerMetadata, default: OipError } } },
    () => ({ name: 'assay', version, extensions: [] }),
  );
  app.get(
    '/v2/health/live',
    { config, schema: { tags, summary: 'Server live', response: { 200: ServerLive, default: OipError } } },
    () => ({ live: true }),
  );
  app.get(
    '/v2/health/ready',
    { config, schema: { tags, summary: 'Server ready', response: { 200: ServerReady, 503: ServerReady } } },
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
      { config, schema: { tags, summary: 'Model ready', params, response: { 200: ModelReady, 503: ModelReady } } },
      async (request, reply) => {
        const { model, version } = paramsOf(request);
        const ready = isModelReady(() => dataplane.endpoint(model), version);
        return reply.code(ready ? 200 : 503).send({ name: model, ready });
      },
    );
  }
}

function addInferRoutes(app: App, options: OipRoutesOptions): void {
  const { dataplane, maxRecords, bodyLimitBytes, predictions } = options;

  /** @param id of the request; its predictions are `ID-0`, `ID-1`, … */
  async function infer(request: PinnedRequest, id: string): Promise<string> {
    const receivedAtMs = performance.now();
    checkContentType(request.raw);
    const body = bodyBytes(request);
    const { model, version } = paramsOf(request);
    let inferRequest: InferRequest | undefined;
    const scored = await dataplane.score(
      model,
      (signature) => {
        const read = readInferRequest(readJson(body, signature), signature, maxRecords);
        inferRequest = read;
        return (batch) => batch.appendTensors(read.inputs);
      },
      readCaller(request.raw, 'oip', receivedAtMs, version),
    );
    const inputs = inferRequest?.inputs ?? [];
    predictions?.offer(scored, {
      door: 'oip',
      idOf: (row) => predictionId(id, row),
      recordOf: (row) => recordOfTensors(scored.variant.live?.loaded.signature ?? NOTHING, inputs, row),
      sizeBytes: body.length,
    });
    return writeInferResponse(headOf(scored), inferRequest?.id, scored.rows, inferRequest?.outputs);
  }

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
          config: { access: 'score', endpointParam: 'model', takesUnknownQuery: true },
          schema: {
            tags,
            summary: 'Infer, all rows or none',
            params,
            body: InferRequestBody,
            response: { 200: InferResponseBody, default: OipError },
          },
        },
        async (request, reply) => {
          const id = newId('prd');
          const text = await infer(request, id);
          reply.header('content-type', 'application/json');
          reply.header(PREDICTION_ID_HEADER, id);
          return reply.send(text as never); // sent as it is: it already is the InferResponseBody as text
        },
      );
    }
  });
}

const NOTHING: Signature = { features: [], outputs: [] };

/** The protocol has no place for ids of its own making. */
const PREDICTION_ID_HEADER = 'assay-prediction-id';

interface PinnedRequest extends ScoringRequest {
  readonly params: unknown;
}

function paramsOf(request: { readonly params: unknown }): { model: string; version?: string } {
  return request.params as { model: string; version?: string }; // of the two paths above
}

function checkContentType({ headers }: IncomingMessage): void {
  if (headers['inference-header-content-length'] !== undefined) {
    throw binaryRefused('header Inference-Header-Content-Length');
  }
  const contentType = headers['content-type'];
  if (contentType === undefined || /^application\/json *(;|$)/i.test(contentType)) return;
  throw new AssayError(
    'UNSUPPORTED_MEDIA_TYPE',
    `the content type ${JSON.stringify(contentType)} is not read by this route; send application/json`,
  );
}

function isModelReady(find: () => ServedEndpoint, version: string | undefined): boolean {
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
function describeModel(served: ServedEndpoint, version: string | undefined): Type.Static<typeof ModelMetadata> {
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

const heads = new WeakMap<ServedVariant, string>();

/** What is the same in every answer of a variant, made once. */
function headOf({ endpoint, variant }: Scored): string {
  let head = heads.get(variant);
  if (head === undefined) {
    const { name } = endpoint.endpoint;
    head = `"model_name":${JSON.stringify(name)},"model_version":${JSON.stringify(String(variant.version.version))}`;
    heads.set(variant, head);
  }
  return head;
}
