/** The gRPC door as @grpc/grpc-js sees it, the client that most of Node uses. */

import { create, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ModelInferRequestSchema,
  ModelInferResponseSchema,
  ModelStreamInferResponseSchema,
} from '../../services/inference/src/grpc/gen/inference/inference_pb.ts';
import { floatRequest } from '../../services/inference/src/grpc/grpc-under-test.ts';
import { serveStatic } from '../../services/inference/src/inference-under-test.ts';
import { slowModel, versionModel } from '../../services/inference/src/models-under-test.ts';
import { temporaryFolder } from '../parts/assay.ts';

type Request = MessageShape<typeof ModelInferRequestSchema>;
type Response = MessageShape<typeof ModelInferResponseSchema>;
type StreamResponse = MessageShape<typeof ModelStreamInferResponseSchema>;

const write = (request: Request) => Buffer.from(toBinary(ModelInferRequestSchema, request));
const INFER = '/inference.GRPCInferenceService/ModelInfer';
const STREAM_INFER = '/inference.GRPCInferenceService/ModelStreamInfer';

describe('grpc-js', () => {
  const resources = new AsyncDisposableStack();
  let client: Client;

  beforeAll(async () => {
    const { path } = resources.use(await temporaryFolder());
    const models = [
      { name: 'three', path: (await versionModel(path, 3)).dir },
      { name: 'slow', path: (await slowModel(path)).dir },
    ];
    const inference = resources.use(await serveStatic(path, models, { grpcPort: 0 }));
    client = new Client(inference.service.addresses.grpc ?? '', credentials.createInsecure());
    resources.defer(() => client.close());
  });
  afterAll(() => resources.disposeAsync());

  const request = (model: string, values: readonly number[], id = '') =>
    create(ModelInferRequestSchema, floatRequest(model, values, id));

  function infer(message: Request, timeoutMs: number, cancelAfterMs?: number): Promise<Response> {
    return new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(
        INFER,
        write,
        (bytes: Buffer) => fromBinary(ModelInferResponseSchema, bytes),
        message,
        { deadline: Date.now() + timeoutMs },
        (error, response) => (response === undefined ? reject(error) : resolve(response)),
      );
      if (cancelAfterMs !== undefined) setTimeout(() => call.cancel(), cancelAfterMs);
    });
  }

  const codeOf = (answer: Promise<unknown>) =>
    answer.then(
      () => status.OK,
      (error: ServiceError) => error.code,
    );

  it('scores, and is told of errors, deadlines and its own cancels by their status', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => infer(request('three', [i], String(i)), 10_000)),
    );
    expect(answers.map(({ id }) => id)).toEqual(answers.map((_, i) => String(i)));
    await expect(infer(request('four', [1]), 10_000)).rejects.toMatchObject({
      code: status.NOT_FOUND,
      details: 'there is no endpoint "four"',
    });
    const many = () => request('slow', new Array(1000).fill(1));
    expect(await codeOf(infer(many(), 30))).toBe(status.DEADLINE_EXCEEDED);
    expect(await codeOf(infer(many(), 10_000, 30))).toBe(status.CANCELLED);
    expect(await codeOf(infer(request('three', [1]), 10_000))).toBe(status.OK);
  });

  it('sends a stream of messages, and has each answered in its order', async () => {
    const stream: ClientDuplexStream<Request, StreamResponse> = client.makeBidiStreamRequest(
      STREAM_INFER,
      write,
      (bytes: Buffer) => fromBinary(ModelStreamInferResponseSchema, bytes),
    );
    for (let i = 0; i < 1000; i++) stream.write(request(i % 100 === 50 ? 'four' : 'three', [i], String(i)));
    stream.end();
    const answers: StreamResponse[] = [];
    for await (const answer of stream) answers.push(answer);
    expect(answers.map(({ inferResponse }) => inferResponse?.id)).toEqual(answers.map((_, i) => String(i)));
    expect(answers.flatMap(({ errorMessage }, i) => (errorMessage === '' ? [] : [i % 100]))).toEqual(
      new Array(10).fill(50),
    );
    expect(answers).toHaveLength(1000);
  });
});
