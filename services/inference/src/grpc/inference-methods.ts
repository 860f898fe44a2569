/** The methods of `inference.GRPCInferenceService`. */

import { AssayError } from '@assay/contracts';
import type { RouteAccess } from '@assay/http';
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import type { ServedEndpoint } from '../domain/routing-table.ts';
import { configOf } from '../http/oip/model-config.ts';
import { repositoryIndex } from '../http/oip/repository-index.ts';
import { describeModel, isModelReady, type OipRoutesOptions } from '../http/oip/routes.ts';
import { statisticsOf } from '../http/oip/statistics.ts';
import { frame, PREFIX_BYTES, writePrefix } from './framing.ts';
import * as pb from './gen/inference/inference_pb.ts';
import { createInfer, type Infer } from './infer.ts';
import { inferStreamMethod, type StreamBounds } from './infer-stream.ts';
import type { Method, UnaryMethod } from './method.ts';
import { readInferRequest } from './read-infer-request.ts';
import { readRoutingKey } from './routing-key.ts';

export interface InferenceMethodsOptions
  extends Pick<OipRoutesOptions, 'dataplane' | 'convergence' | 'maxRecords' | 'predictions' | 'version' | 'isReady'> {
  readonly stream: StreamBounds;
}

/** Who may score a model may see what it takes. */
const SEEN: RouteAccess = ['score', 'read'];

export function inferenceMethods(options: InferenceMethodsOptions): Map<string, Method> {
  const { dataplane, convergence, version, isReady } = options;
  const infer = createInfer(options);
  const service = pb.GRPCInferenceService;
  const { serverLive, serverReady, serverMetadata, modelReady, modelMetadata, modelStatistics } = service.method;
  const findModel = (name: string) => () => dataplane.endpoint(name);
  return new Map<string, Method>([
    entry(serverLive, 'public', () => create(pb.ServerLiveResponseSchema, { live: true })),
    entry(serverReady, 'public', () => create(pb.ServerReadyResponseSchema, { ready: isReady() })),
    entry(serverMetadata, 'public', () =>
      create(pb.ServerMetadataResponseSchema, {
        name: 'assay',
        version,
        extensions: ['classification', 'model_repository', 'statistics'],
      }),
    ),
    entry(modelReady, SEEN, ({ name, version }) =>
      create(pb.ModelReadyResponseSchema, { ready: isModelReady(findModel(name), version || undefined) }),
    ),
    entry(modelMetadata, SEEN, ({ name, version }) => {
      const { inputs, outputs, ...rest } = describeModel(dataplane.endpoint(name), version || undefined);
      const tensors = (list: typeof inputs) => list.map((each) => ({ ...each, shape: each.shape.map(BigInt) }));
      return create(pb.ModelMetadataResponseSchema, { ...rest, inputs: tensors(inputs), outputs: tensors(outputs) });
    }),
    entry(service.method.modelConfig, SEEN, ({ name, version }) =>
      create(pb.ModelConfigResponseSchema, { config: describeConfig(dataplane.endpoint(name), version || undefined) }),
    ),
    entry(modelStatistics, SEEN, ({ name, version }) =>
      describeStatistics(name === '' ? dataplane.endpoints() : [dataplane.endpoint(name)], version || undefined),
    ),
    entry(service.method.repositoryIndex, SEEN, ({ ready }) =>
      create(pb.RepositoryIndexResponseSchema, { models: repositoryIndex(convergence.status(), ready) }),
    ),
    [pathOf(service.method.modelInfer), inferMethod(infer)],
    [pathOf(service.method.modelStreamInfer), inferStreamMethod(infer, options.stream)],
  ]);
}

function describeConfig(
  served: ServedEndpoint,
  version: string | undefined,
): MessageInitShape<typeof pb.ModelConfigSchema> {
  const { max_batch_size: maxBatchSize, input, output, ...named } = configOf(served, version);
  const tensors = (list: typeof input) =>
    list.map(({ name, data_type: type, dims }) => ({ name, dataType: pb.DataType[type], dims: dims.map(BigInt) }));
  return { ...named, maxBatchSize, input: tensors(input), output: tensors(output) };
}

function inferMethod(infer: Infer): UnaryMethod {
  return {
    kind: 'unary',
    access: 'score',
    async handle(message, call) {
      const response = await infer(readInferRequest(message), {
        receivedAtMs: call.arrivedAtMs,
        timeoutMs: call.timeoutMs,
        routingKey: readRoutingKey(call.head.headers),
        traceparent: call.head.headers.traceparent,
        signal: call.signal,
        check: (needs) => call.check(needs),
      });
      const framed = Buffer.allocUnsafe(PREFIX_BYTES + response.sizeBytes);
      writePrefix(framed, response.sizeBytes);
      response.write(framed, PREFIX_BYTES);
      return framed;
    },
  };
}

export function pathOf({
  parent,
  name,
}: {
  readonly parent: { readonly typeName: string };
  readonly name: string;
}): string {
  return `/${parent.typeName}/${name}`;
}

/** A method whose messages protobuf-es reads and writes. */
export function entry<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  access: RouteAccess,
  answer: (request: MessageShape<I>) => MessageShape<O>,
): [string, UnaryMethod] {
  return [
    pathOf(method),
    {
      kind: 'unary',
      access,
      handle: (message) => frame(toBinary(method.output, answer(decode(method.input, message)))),
    },
  ];
}

/** @throws INVALID_ARGUMENT */
export function decode<D extends DescMessage>(schema: D, message: Buffer): MessageShape<D> {
  try {
    return fromBinary(schema, message);
  } catch (cause) {
    throw new AssayError('INVALID_ARGUMENT', `the message is not a valid ${schema.typeName}`, { cause });
  }
}

function describeStatistics(served: Iterable<ServedEndpoint>, version: string | undefined): pb.ModelStatisticsResponse {
  return create(pb.ModelStatisticsResponseSchema, {
    modelStats: Array.from(served, (each) => statisticsOf(each, version))
      .flat()
      .map(({ name, version, last_inference, inference_count, execution_count, inference_stats: stats }) => ({
        name,
        version,
        lastInference: BigInt(last_inference),
        inferenceCount: BigInt(inference_count),
        executionCount: BigInt(execution_count),
        inferenceStats: {
          success: exact(stats.success),
          fail: exact(stats.fail),
          queue: exact(stats.queue),
          computeInput: exact(stats.compute_input),
          computeInfer: exact(stats.compute_infer),
          computeOutput: exact(stats.compute_output),
          cacheHit: exact(stats.cache_hit),
          cacheMiss: exact(stats.cache_miss),
        },
      })),
  });
}

function exact({ count, ns }: { readonly count: number; readonly ns: number }): { count: bigint; ns: bigint } {
  return { count: BigInt(count), ns: BigInt(ns) };
}
