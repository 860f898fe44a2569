import { gunzipSync, gzipSync } from 'node:zlib';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { InferenceUnderTest } from '../inference-under-test.ts';
import { frame } from './framing.ts';
import * as pb from './gen/inference/inference_pb.ts';
import {
  answerOf,
  floatRequest,
  framed,
  type GrpcClient,
  INFER,
  metricOf,
  outputsOf,
  STREAM_INFER,
  startDoor,
} from './grpc-under-test.ts';

describe('compression over gRPC', () => {
  const resources = new AsyncDisposableStack();
  let inference: InferenceUnderTest;
  let client: GrpcClient;

  beforeAll(async () => {
    ({ inference, client } = await startDoor(resources, ['three', 'identity']));
  });
  afterAll(() => resources.disposeAsync());

  test('gzip goes both ways, when the answer is worth it and the caller reads it', async () => {
    const request = floatRequest('three', new Array(100).fill(1));
    const body = gzipSync(framed(pb.ModelInferRequestSchema, request).subarray(5));
    const called = await client.call(INFER, frame(body, true), {
      'grpc-encoding': 'gzip',
      'grpc-accept-encoding': 'identity,gzip',
    });
    expect(called).toMatchObject({ status: 0, headers: { 'grpc-encoding': 'gzip' } });
    // The answer has 800 bytes of numbers, which is not worth it.
    expect(Object.values(outputsOf(called))).toEqual(['0300000000000000'.repeat(100)]);
    const wide = Array.from({ length: 100 }, (_, i) => i);
    const vectors = {
      name: 'vector',
      datatype: 'FP32',
      shape: [100n, 3n],
      contents: { fp32Contents: [...wide, ...wide, ...wide] },
    };
    const identity = {
      modelName: 'identity',
      outputs: [{ name: 'vector_out' }],
      inputs: [
        vectors,
        ...(['i64', 'at'] as const).map((name) => ({
          name,
          datatype: 'INT64',
          shape: [100n],
          contents: { int64Contents: wide.map(BigInt) },
        })),
        {
          name: 'text',
          datatype: 'BYTES',
          shape: [100n],
          contents: { bytesContents: wide.map(() => Buffer.from('x')) },
        },
        { name: 'flag', datatype: 'BOOL', shape: [100n], contents: { boolContents: wide.map(() => true) } },
      ],
    };
    const zipped = frame(gzipSync(framed(pb.ModelInferRequestSchema, identity).subarray(5)), true);
    const [first] = (await client.call(INFER, zipped, { 'grpc-encoding': 'gzip', 'grpc-accept-encoding': 'gzip' }))
      .messages;
    const read = fromBinary(pb.ModelInferResponseSchema, gunzipSync(first ?? Buffer.alloc(0)));
    expect(Buffer.from(read.rawOutputContents[0] ?? [])).toEqual(
      Buffer.from(Float32Array.from([...wide, ...wide, ...wide]).buffer),
    );
    const plain = await client.call(INFER, zipped, { 'grpc-encoding': 'gzip' });
    expect(answerOf(pb.ModelInferResponseSchema, plain).rawOutputContents).toEqual(read.rawOutputContents);
  });

  const message = () => framed(pb.ModelInferRequestSchema, floatRequest('three', [1]));
  const answered = (path: string, code: number) =>
    metricOf(inference, new RegExp(`assay_http_requests_total\\{route="${path}",method="POST",code="${code}"\\}`));

  describe.each([INFER, STREAM_INFER])('in a call of %s', (path) => {
    test('an encoding that is not read is refused with those that are', async () => {
      const called = await client.call(path, message(), { 'grpc-encoding': 'snappy' });
      expect(called).toMatchObject({
        status: 12,
        message: 'grpc-encoding: "snappy" is not read; send one of identity,gzip,deflate',
        headers: { 'grpc-accept-encoding': 'identity,gzip,deflate' },
        messages: [],
      });
    });

    test.each([undefined, 'identity'])('the Compressed-Flag means nothing with grpc-encoding %s', async (encoding) => {
      const before = [await answered(path, 400), await answered(path, 500)];
      const headers: Record<string, string> = encoding === undefined ? {} : { 'grpc-encoding': encoding };
      const called = await client.call(path, frame(gzipSync(message().subarray(5)), true), headers);
      expect(called).toMatchObject({
        status: 13,
        message: expect.stringMatching(/has the Compressed-Flag, and no grpc-encoding/),
        trailers: { 'assay-error-code': 'INVALID_ARGUMENT' },
      });
      // The status is what the protocol wants; the fault, and the count, is the caller's.
      expect([await answered(path, 400), await answered(path, 500)]).toEqual(
        before.map((n, i) => n + (i === 0 ? 1 : 0)),
      );
    });

    test('a message may be sent as it is where an encoding is named, or not', async () => {
      const zipped = frame(gzipSync(message().subarray(5)), true);
      for (const bytes of [message(), zipped]) {
        const called = await client.call(path, bytes, { 'grpc-encoding': 'gzip' });
        expect([called.status, called.messages.length]).toEqual([0, 1]);
      }
    });

    test('what is not in the encoding that is named is refused', async () => {
      const called = await client.call(path, frame(message().subarray(5), true), { 'grpc-encoding': 'gzip' });
      expect(called).toMatchObject({ status: 3, message: 'a message is not valid gzip' });
    });
  });
});
