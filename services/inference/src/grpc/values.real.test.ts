import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { InferenceUnderTest } from '../inference-under-test.ts';
import * as pb from './gen/inference/inference_pb.ts';
import { answerOf, type GrpcClient, outputsOf, startDoor } from './grpc-under-test.ts';

describe('values over gRPC', () => {
  const resources = new AsyncDisposableStack();
  let inference: InferenceUnderTest;
  let client: GrpcClient;

  beforeAll(async () => {
    ({ inference, client } = await startDoor(resources, ['identity', 'trees']));
  });
  afterAll(() => resources.disposeAsync());

  test('gives every type back as it came, typed and raw, alone and in company, with id and version', async () => {
    const f64 = Float64Array.of(0.1, Number.NaN);
    const contents: [
      string,
      string,
      bigint[],
      Parameters<typeof client.infer>[0]['inputs'] extends infer _ ? object : never,
      Uint8Array,
    ][] = [
      [
        'i64',
        'INT64',
        [2n, 1n],
        { int64Contents: [2n ** 62n + 1n, -1n] },
        new Uint8Array(BigInt64Array.of(2n ** 62n + 1n, -1n).buffer),
      ],
      ['f64', 'FP64', [2n, 1n], { fp64Contents: [...f64] }, new Uint8Array(f64.buffer)],
      ['f32', 'FP32', [2n], { fp32Contents: [0.5, -0] }, new Uint8Array(Float32Array.of(0.5, -0).buffer)],
      [
        'text',
        'BYTES',
        [2n, 1n],
        { bytesContents: [Buffer.from('é'), Buffer.from('')] },
        Buffer.from('02000000c3a900000000', 'hex'),
      ],
      ['flag', 'BOOL', [2n, 1n], { boolContents: [true, false] }, Uint8Array.of(1, 0)],
      ['at', 'INT64', [2n, 1n], { int64Contents: [1n, 2n] }, new Uint8Array(BigInt64Array.of(1n, 2n).buffer)],
      [
        'vector',
        'FP32',
        [2n, 3n],
        { fp32Contents: [1, 2, 3, 4, 5, 6] },
        new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer),
      ],
    ];
    const head = contents.map(([name, datatype, shape]) => ({ name, datatype, shape }));
    const typed = {
      modelName: 'identity',
      inputs: head.map((input, i) => ({ ...input, contents: contents[i]?.[3] ?? {} })),
    };
    const raw = { modelName: 'identity', inputs: head, rawInputContents: contents.map(([, , , , bytes]) => bytes) };
    const expected = Object.fromEntries(
      contents.map(([name, , , , bytes]) => [`${name}_out`, Buffer.from(bytes).toString('hex')]),
    );
    const answers = await Promise.all([typed, raw, raw, typed].map((request) => client.infer(request)));
    for (const answer of answers) expect(outputsOf(answer)).toEqual(expected);
    const named = await client.infer({
      ...raw,
      id: 'mine',
      modelVersion: '1',
      outputs: [{ name: 'text_out' }, { name: 'at_out' }],
    });
    expect(answerOf(pb.ModelInferResponseSchema, named)).toMatchObject({
      modelName: 'identity',
      modelVersion: '1',
      id: 'mine',
    });
    expect(Object.keys(outputsOf(named))).toEqual(['text_out', 'at_out']);
  });

  test('scores with the bits of REST', async () => {
    const rows = 50;
    const numbers = Array.from({ length: rows }, (_, i) => Math.fround(Math.sin(i)));
    const inputs = [
      { name: 'hour', datatype: 'INT64', shape: [rows], data: numbers.map((_, i) => i % 24) },
      { name: 'distance', datatype: 'FP64', shape: [rows], data: numbers.map((number) => number * 1000) },
      { name: 'load', datatype: 'FP32', shape: [rows], data: numbers },
      { name: 'origin', datatype: 'BYTES', shape: [rows], data: numbers.map((_, i) => ['ATL', 'ZZZ'][i % 2]) },
      { name: 'holiday', datatype: 'BOOL', shape: [rows], data: numbers.map((_, i) => i % 3 === 0) },
    ];
    const field = {
      INT64: 'int64Contents',
      FP64: 'fp64Contents',
      FP32: 'fp32Contents',
      BYTES: 'bytesContents',
      BOOL: 'boolContents',
    };
    const ours = await client.infer({
      modelName: 'trees',
      inputs: inputs.map(({ name, datatype, data }) => ({
        name,
        datatype,
        shape: [BigInt(rows)],
        contents: {
          [field[datatype as keyof typeof field]]: data.map((value) =>
            datatype === 'INT64' ? BigInt(value as number) : typeof value === 'string' ? Buffer.from(value) : value,
          ),
        },
      })),
    });
    const { body } = await inference.post('/v2/models/trees/infer', { inputs });
    const probabilities = body.outputs.find(({ name }: { name: string }) => name === 'probabilities').data;
    expect(outputsOf(ours).probabilities).toBe(Buffer.from(Float32Array.from(probabilities).buffer).toString('hex'));
  });
});
