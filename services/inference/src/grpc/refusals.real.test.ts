import { once } from 'node:events';
import { createConnection } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { InferenceUnderTest } from '../inference-under-test.ts';
import { frame } from './framing.ts';
import * as pb from './gen/inference/inference_pb.ts';
import { answerOf, floatRequest, framed, type GrpcClient, INFER, startDoor } from './grpc-under-test.ts';

const SERVICE = '/inference.GRPCInferenceService';

function classesOf(name: string, parameterChoice: pb.InferParameter['parameterChoice']) {
  return { name, parameters: { classification: { parameterChoice } } };
}

describe('what the gRPC door refuses', () => {
  const resources = new AsyncDisposableStack();
  let inference: InferenceUnderTest;
  let client: GrpcClient;

  beforeAll(async () => {
    ({ inference, client } = await startDoor(resources, ['three']));
  });
  afterAll(() => resources.disposeAsync());

  test.each<[string, Parameters<GrpcClient['infer']>[0], number, string, RegExp]>([
    ['an endpoint that is not there', floatRequest('four', [1]), 5, 'NOT_FOUND', /there is no endpoint "four"/],
    [
      'a version that is not there',
      { ...floatRequest('three', [1]), modelVersion: '9' },
      5,
      'NOT_FOUND',
      /does not serve version "9"/,
    ],
    ['no rows', floatRequest('three', []), 3, 'INVALID_ARGUMENT', /has no data/],
    [
      'NaN where nothing may be missing',
      floatRequest('three', [1, Number.NaN]),
      3,
      'INVALID_ARGUMENT',
      /inputs\[0\].data\[1\]: NaN/,
    ],
    ['too many rows', floatRequest('three', new Array(101).fill(1)), 8, 'PAYLOAD_TOO_LARGE', /101 rows/],
    [
      'an unknown output',
      { ...floatRequest('three', [1]), outputs: [{ name: 'y' }] },
      3,
      'INVALID_ARGUMENT',
      /no output "y"; expected one of version/,
    ],
    [
      'shared memory',
      { ...floatRequest('three', [1]), outputs: [{ name: 'version', parameters: { shared_memory_region: {} } }] },
      12,
      'UNIMPLEMENTED',
      /shared_memory_region/,
    ],
    [
      'fewer classes than one',
      { ...floatRequest('three', [1]), outputs: [classesOf('version', { case: 'int64Param', value: -1n })] },
      3,
      'INVALID_ARGUMENT',
      /outputs\[0\].parameters.classification: -1 is no number of classes/,
    ],
    [
      'a number of classes that is none',
      { ...floatRequest('three', [1]), outputs: [classesOf('version', { case: 'stringParam', value: '1' })] },
      3,
      'INVALID_ARGUMENT',
      /classification: has no int64_param/,
    ],
    [
      'an input given twice',
      {
        modelName: 'three',
        inputs: [...(floatRequest('three', [1]).inputs ?? []), ...(floatRequest('three', [1]).inputs ?? [])],
      },
      3,
      'INVALID_ARGUMENT',
      /2 tensors; the model takes 1/,
    ],
  ])('%s is refused by its status', async (_, request, status, code, message) => {
    const called = await client.infer(request);
    expect(called).toMatchObject({ status, message: expect.stringMatching(message) });
    expect(called.trailers['assay-error-code']).toBe(code);
    expect(called.headers[':status']).toBe(200);
    expect(called.messages).toEqual([]);
  });

  const valid = () => framed(pb.ModelInferRequestSchema, floatRequest('three', [1]));
  test.each<[string, () => ReturnType<GrpcClient['call']>, number, RegExp]>([
    ['an unknown method', () => client.call(`${SERVICE}/ModelLoad`, valid()), 12, /no method .*ModelLoad/],
    [
      'another content type',
      () => client.call(INFER, valid(), { 'content-type': 'application/json' }),
      3,
      /speaks gRPC/,
    ],
    [
      'a message above the limit',
      () => client.call(INFER, frame(Buffer.alloc(100_001))),
      8,
      /100001 bytes; one may have 100000/,
    ],
    [
      'a large message to who needs no key',
      () => client.call(`${SERVICE}/ServerLive`, frame(Buffer.alloc(20_000))),
      8,
      /20000 bytes; one may have 16384/,
    ],
    ['no message', () => client.call(INFER, Buffer.alloc(0)), 3, /without the one message/],
    ['half a message', () => client.call(INFER, valid().subarray(0, 9)), 3, /without the one message/],
    ['two messages', () => client.call(INFER, Buffer.concat([valid(), valid()])), 3, /more than the one message/],
    [
      'bytes that are no message',
      () => client.call(INFER, frame(Buffer.from('no message'))),
      3,
      /not a valid protobuf message/,
    ],
    ['a wrong time-out', () => client.call(INFER, valid(), { 'grpc-timeout': '5s' }), 3, /"5s" is no time-out/],
    [
      'an unknown encoding',
      () => client.call(INFER, valid(), { 'grpc-encoding': 'snappy' }),
      12,
      /one of identity,gzip,deflate/,
    ],
    [
      'a wrong routing key',
      () => client.call(INFER, valid(), { 'assay-routing-key': 'x'.repeat(2000) }),
      3,
      /Assay-Routing-Key/,
    ],
    [
      'a key where there are none',
      () => client.call(INFER, valid(), { authorization: 'Bearer x' }),
      16,
      /no API keys here/,
    ],
    [
      'a foreign name of this machine',
      () => client.call(INFER, valid(), { ':authority': 'evil.example' }),
      7,
      /evil\.example/,
    ],
  ])('%s is refused', async (_, call, status, message) => {
    expect(await call()).toMatchObject({ status, message: expect.stringMatching(message) });
  });

  test('bytes that are changed anywhere are answered or refused, and nobody else notices', async () => {
    const bytes = framed(pb.ModelInferRequestSchema, floatRequest('three', [1, 2, 3], 'id'));
    const changed = fc.sample(fc.tuple(fc.nat(bytes.length - 6), fc.nat(255)), 300).map(([at, byte]) => {
      const copy = Buffer.from(bytes);
      copy[5 + at] = byte;
      return copy;
    });
    const [answers, good] = await Promise.all([
      Promise.all(changed.map((each) => client.call(INFER, each))),
      Promise.all(changed.map((_, i) => client.infer(floatRequest('three', [i], String(i))))),
    ]);
    for (const { status } of answers) expect([0, 3, 5, 8, 12]).toContain(status);
    expect(good.map((called) => answerOf(pb.ModelInferResponseSchema, called).id)).toEqual(
      good.map((_, i) => String(i)),
    );
  });

  test('a peer that speaks no HTTP/2 is let go, and others do not notice', async () => {
    const [host, port] = (inference.service.addresses.grpc ?? '').split(':');
    for (const text of [
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      '\0\0\0\0',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnoise that is no frame at all',
    ]) {
      const socket = createConnection(Number(port), host);
      socket.on('error', () => undefined);
      socket.end(text);
      await once(socket.resume(), 'close');
    }
    expect((await client.infer(floatRequest('three', [1]))).status).toBe(0);
  });
});
