/** For the tests of this door: a gRPC client of node:http2 and no more, so that a test can send what no client would. */
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from 'node:http2';
import type { ConnectionOptions } from 'node:tls';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { type Flags, type InferenceUnderTest, serveStatic, temporaryFolder } from '../inference-under-test.ts';
import { identityModel, slowModel, treeModel, versionModel } from '../models-under-test.ts';
import { frame, MessageReader } from './framing.ts';
import { ModelInferRequestSchema, ModelInferResponseSchema } from './gen/inference/inference_pb.ts';

export const INFER = '/inference.GRPCInferenceService/ModelInfer';
export const STREAM_INFER = '/inference.GRPCInferenceService/ModelStreamInfer';

export interface Called {
  readonly headers: IncomingHttpHeaders;
  /** Of the trailers, or of the headers where there was nothing else. */
  readonly status: number;
  /** As it was before it was percent-encoded. */
  readonly message: string;
  readonly trailers: IncomingHttpHeaders;
  readonly messages: readonly Buffer[];
  /** Of the RST_STREAM that ended it; 0 where none did. */
  readonly resetCode: number;
}

export interface OpenCall {
  readonly stream: ClientHttp2Stream;
  readonly ended: Promise<Called>;
  /** Resolves when so many messages have come. */
  received(count: number): Promise<readonly Buffer[]>;
}

export interface GrpcClient extends AsyncDisposable {
  readonly session: ClientHttp2Session;
  open(path: string, headers?: Readonly<Record<string, string>>): OpenCall;
  /** Sends the bytes as they are and ends. */
  call(path: string, bytes: Uint8Array, headers?: Readonly<Record<string, string>>): Promise<Called>;
  infer(
    request: MessageInitShape<typeof ModelInferRequestSchema>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Called>;
}

/** @param tls where the door speaks it: whom to trust, and what to show */
export function grpcClient(address: string | undefined, tls?: ConnectionOptions): GrpcClient {
  const session = tls === undefined ? connect(`http://${address}`) : connect(`https://${address}`, tls);
  session.on('error', () => undefined); // calls tell it
  const open: GrpcClient['open'] = (path, headers = {}) => openCall(session, path, headers);
  const call: GrpcClient['call'] = (path, bytes, headers) => {
    const { stream, ended } = open(path, headers);
    stream.end(bytes);
    return ended;
  };
  return {
    session,
    open,
    call,
    infer: (request, headers) => call(INFER, framed(ModelInferRequestSchema, request), headers),
    async [Symbol.asyncDispose]() {
      if (session.destroyed) return;
      session.destroy();
      await once(session, 'close');
    },
  };
}

function openCall(session: ClientHttp2Session, path: string, given: Readonly<Record<string, string>>): OpenCall {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...given,
  });
  const reader = new MessageReader(1 << 28);
  const messages: Buffer[] = [];
  const waiters: (() => void)[] = [];
  let [headers, trailers]: [IncomingHttpHeaders, IncomingHttpHeaders] = [{}, {}];
  stream.on('response', (received) => {
    headers = received;
  });
  stream.on('trailers', (received) => {
    trailers = received;
  });
  stream.on('data', (chunk: Buffer) => {
    reader.push(chunk);
    for (let next = reader.next(); next !== undefined; next = reader.next()) messages.push(next.bytes);
    for (const look of waiters) look();
  });
  stream.on('error', () => undefined); // it closes, without a status
  const closed = new Promise<void>((resolve) => void stream.once('close', resolve));
  const ended = closed.then((): Called => {
    const last = trailers['grpc-status'] === undefined ? headers : trailers;
    return {
      headers,
      trailers: last,
      status: Number(last['grpc-status'] ?? -1),
      message: decodeURIComponent(String(last['grpc-message'] ?? '')),
      messages,
      resetCode: stream.rstCode,
    };
  });
  return {
    stream,
    ended,
    received: (count) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (messages.length >= count) resolve(messages);
        };
        waiters.push(look);
        look();
        void ended.then(({ message }) =>
          reject(new Error(`the call ended after ${messages.length} messages: ${message}`)),
        );
      }),
  };
}

/** A message with its prefix. */
export function framed<D extends DescMessage>(schema: D, message: MessageInitShape<D>): Buffer {
  return frame(toBinary(schema, create(schema, message)));
}

/** The one message of a call that succeeded. */
export function answerOf<D extends DescMessage>(schema: D, { status, message, messages }: Called): MessageShape<D> {
  const [only] = messages;
  if (status !== 0 || only === undefined || messages.length !== 1) {
    throw new Error(`status ${status} ${message}, ${messages.length} messages`);
  }
  return fromBinary(schema, only);
}

/** Outputs by name, as hex. */
export function outputsOf(called: Called): Record<string, string> {
  const { outputs, rawOutputContents } = answerOf(ModelInferResponseSchema, called);
  return Object.fromEntries(
    outputs.map(({ name }, i) => [name, Buffer.from(rawOutputContents[i] ?? []).toString('hex')]),
  );
}

/** A request for `versionModel`: one float a row. */
export function floatRequest(model: string, values: readonly number[], id = '') {
  return {
    modelName: model,
    id,
    inputs: [
      { name: 'x', datatype: 'FP32', shape: [BigInt(values.length), 1n], contents: { fp32Contents: [...values] } },
    ],
  };
}

/** @param series its name and labels, as a scrape has them; 0 where there is none yet */
export async function metricOf({ get }: Pick<InferenceUnderTest, 'get'>, series: RegExp): Promise<number> {
  const { text } = await get('/metrics');
  return Number(new RegExp(`^${series.source} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

const MODELS = {
  three: (dir: string) => versionModel(dir, 3),
  identity: identityModel,
  trees: (dir: string) => treeModel(dir),
  slow: slowModel,
};

/** The service with some models, under their names here, and small limits; and a client of its door. */
export async function startDoor(
  resources: AsyncDisposableStack,
  names: readonly (keyof typeof MODELS)[],
  flags: Flags = {},
): Promise<{ readonly inference: InferenceUnderTest; readonly client: GrpcClient }> {
  const { path: dir } = resources.use(await temporaryFolder());
  const models = await Promise.all(names.map(async (name) => ({ name, path: (await MODELS[name](dir)).dir })));
  const limits = { maxRecords: 100, grpcMaxMessageBytes: 100_000, grpcMaxStreamMessages: 8, maxBatchRows: 32 };
  const inference = resources.use(await serveStatic(dir, models, { grpcPort: 0, ...limits, ...flags }));
  return { inference, client: resources.use(grpcClient(inference.service.addresses.grpc)) };
}
