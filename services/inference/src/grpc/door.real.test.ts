import { once } from 'node:events';
import { createConnection } from 'node:net';
import { gunzipSync, gzipSync } from 'node:zlib';
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type InferenceUnderTest, serveStatic, temporaryFolder } from '../inference-under-test.ts';
import { identityModel, slowModel, treeModel, versionModel } from '../models-under-test.ts';
import { frame } from './framing.ts';
import { HealthCheckRequestSchema, HealthCheckResponseSchema } from './gen/grpc/health/v1/health_pb.ts';
import {
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
} from './gen/grpc/reflection/v1/reflection_pb.ts';
import * as pb from './gen/inference/inference_pb.ts';
import {
  answerOf,
  floatRequest,
  framed,
  type GrpcClient,
  grpcClient,
  INFER,
  outputsOf,
  STREAM_INFER,
} from './grpc-under-test.ts';

function classesOf(name: string, parameterChoice: pb.InferParameter['parameterChoice']) {
  return { name, parameters: { classification: { parameterChoice } } };
}

const SERVICE = '/inference.GRPCInferenceService';

describe('the gRPC door', () => {
  const resources = new AsyncDisposableStack();
  let inference: InferenceUnderTest;
  let client: GrpcClient;

  beforeAll(async () => {
    const { path: dir } = resources.use(await temporaryFolder());
    const made = {
      three: await versionModel(dir, 3),
      identity: await identityModel(dir),
      trees: await treeModel(dir),
      slow: await slowModel(dir),
    };
    const models = Object.entries(made).map(([name, model]) => ({ name, path: model.dir }));
    const flags = {
      grpcPort: 0,
      maxRecords: 100,
      grpcMaxMessageBytes: 100_000,
      grpcMaxStreamMessages: 8,
      maxBatchRows: 32,
    };
    inference = resources.use(await serveStatic(dir, models, flags));
    client = resources.use(grpcClient(inference.service.addresses.grpc));
  });
  afterAll(() => resources.disposeAsync());

  async function counted(line: RegExp): Promise<number> {
    const { text } = await inference.get('/metrics');
    return Number(new RegExp(`^${line.source} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  }

  test('says what it is and what it has', async () => {
    const ask = (method: string, bytes = frame(Buffer.alloc(0))) => client.call(`${SERVICE}/${method}`, bytes);
    expect(answerOf(pb.ServerLiveResponseSchema, await ask('ServerLive')).live).toBe(true);
    expect(answerOf(pb.ServerReadyResponseSchema, await ask('ServerReady')).ready).toBe(true);
    expect(answerOf(pb.ServerMetadataResponseSchema, await ask('ServerMetadata')).name).toBe('assay');
    const ready = (name: string, version = '') =>
      ask('ModelReady', framed(pb.ModelReadyRequestSchema, { name, version }));
    expect(answerOf(pb.ModelReadyResponseSchema, await ready('three', '1')).ready).toBe(true);
    expect(await ready('threee')).toMatchObject({ status: 5, message: /did you mean "three"/ });
    expect(await ready('three', '2')).toMatchObject({ status: 5 });
    const metadata = await ask('ModelMetadata', framed(pb.ModelMetadataRequestSchema, { name: 'identity' }));
    const { body } = await inference.get('/v2/models/identity');
    const { inputs, outputs, name, versions, platform } = answerOf(pb.ModelMetadataResponseSchema, metadata);
    const plain = (tensors: typeof inputs) =>
      tensors.map((t) => ({ name: t.name, datatype: t.datatype, shape: t.shape.map(Number) }));
    expect({ name, versions, platform, inputs: plain(inputs), outputs: plain(outputs) }).toEqual(body);
    const index = await ask('RepositoryIndex', framed(pb.RepositoryIndexRequestSchema, { ready: true }));
    expect(
      answerOf(pb.RepositoryIndexResponseSchema, index).models.map((model) => [model.name, model.version, model.state]),
    ).toEqual(['three', 'identity', 'trees', 'slow'].map((model) => [model, '1', 'READY']));
  });

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
      { name: 'origin', datatype: 'BYTES', shape: [rows], data: numbers.map((_, i) => ['ATL', 'XXX'][i % 2]) },
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

  test('a request cut at any byte is the same request', async () => {
    const bytes = valid();
    for (let at = 1; at < bytes.length; at++) {
      const { stream, ended } = client.open(INFER);
      stream.write(bytes.subarray(0, at), () => stream.end(bytes.subarray(at)));
      expect(outputsOf(await ended)).toEqual({ version: '0300000000000000' });
    }
  });

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

  test('a deadline that cannot be met is not waited for, and one that passes while the message arrives ends the call', async () => {
    expect(await client.infer(floatRequest('slow', [1]), { 'grpc-timeout': '0m' })).toMatchObject({ status: 4 });
    const { stream, ended } = client.open(INFER, { 'grpc-timeout': '50m' });
    stream.write(valid().subarray(0, 7));
    expect(await ended).toMatchObject({ status: 4, trailers: { 'assay-error-code': 'DEADLINE_EXCEEDED' } });
  });

  test('a caller that resets its call takes its rows out of the queue', async () => {
    const cancelled = /assay_inference_requests_total\{endpoint="slow",model="slow",version="1",code="CANCELLED"\}/;
    const before = await counted(cancelled);
    const busy = [1, 2, 3].map(() => client.infer(floatRequest('slow', new Array(64).fill(1))));
    const queued = client.open(INFER);
    queued.stream.end(framed(pb.ModelInferRequestSchema, floatRequest('slow', [1])));
    await vi.waitFor(async () => expect(await counted(/assay_inference_grpc_calls/)).toBeGreaterThan(3));
    queued.stream.close(8);
    for (const answer of await Promise.all(busy)) expect(answer.status).toBe(0);
    await vi.waitFor(async () => expect(await counted(cancelled)).toBe(before + 1));
    await vi.waitFor(async () => expect(await counted(/assay_inference_grpc_calls/)).toBe(0));
  });

  test('is measured as a door of its own, and its calls with all requests', async () => {
    const scored = /assay_inference_request_seconds_count\{door="grpc",endpoint="three",model="three",version="1"\}/;
    const answered = (code: number) =>
      new RegExp(`assay_http_requests_total\\{route="${INFER}",method="POST",code="${code}"\\}`);
    const before = [await counted(scored), await counted(answered(200)), await counted(answered(404))];
    await client.infer(floatRequest('three', [1]), { 'assay-request-id': 'req-7' }).then(({ headers }) => {
      expect(headers['assay-request-id']).toBe('req-7');
    });
    await client.infer(floatRequest('four', [1]));
    expect([await counted(scored), await counted(answered(200)), await counted(answered(404))]).toEqual(
      before.map((n) => n + 1),
    );
  });

  describe('a stream', () => {
    const answer = (bytes: Buffer | undefined) =>
      fromBinary(pb.ModelStreamInferResponseSchema, bytes ?? Buffer.alloc(0));
    const message = (model: string, values: readonly number[], id: string) =>
      framed(pb.ModelInferRequestSchema, floatRequest(model, values, id));

    test('answers each message in its order, whatever fails among them', async () => {
      const { stream, ended } = client.open(STREAM_INFER);
      const models = Array.from({ length: 60 }, (_, i) => (i % 10 === 3 ? 'slow' : i % 10 === 7 ? 'nobody' : 'three'));
      models.forEach((model, i) => void stream.write(message(model, [i], String(i))));
      stream.write(frame(Buffer.from('no message')));
      stream.end(message('three', [1], 'last'));
      const { messages, status } = await ended;
      expect(status).toBe(0);
      const answers = messages.map(answer);
      expect(answers.map(({ inferResponse }) => inferResponse?.id)).toEqual([
        ...models.map((_, i) => String(i)),
        undefined,
        'last',
      ]);
      answers.slice(0, 60).forEach(({ errorMessage, inferResponse }, i) => {
        expect(errorMessage).toMatch(models[i] === 'nobody' ? /no endpoint "nobody"/ : /^$/);
        expect(inferResponse?.rawOutputContents.length).toBe(models[i] === 'nobody' ? 0 : 1);
      });
      expect(answers[60]?.errorMessage).toMatch(/not a valid protobuf message/);
    });

    test('answers while it stays open, and shares batches with other calls', async () => {
      const { stream, ended, received } = client.open(STREAM_INFER);
      for (let i = 1; i <= 5; i++) {
        stream.write(message('three', [i], String(i)));
        expect(answer((await received(i))[i - 1]).inferResponse?.id).toBe(String(i));
      }
      stream.end();
      expect((await ended).status).toBe(0);
    });

    test('is held back when too many of its messages wait', async () => {
      const { stream, ended } = client.open(STREAM_INFER);
      for (let i = 0; i < 200; i++) stream.write(message('slow', [i], String(i)));
      let most = 0;
      const look = setInterval(() => {
        void inference.get('/metrics').then(({ text }) => {
          most = Math.max(most, Number(/^assay_inference_queued_rows (\d+)/m.exec(text)?.[1] ?? 0));
        });
      }, 5);
      stream.end();
      const { messages, status } = await ended;
      clearInterval(look);
      expect([messages.length, status]).toEqual([200, 0]);
      expect(messages.map((bytes) => answer(bytes).inferResponse?.id)).toEqual(messages.map((_, i) => String(i)));
      expect(most).toBeLessThanOrEqual(8);
    });

    test('that its caller does not read is not scored further, until it does', async () => {
      const rows = /assay_inference_rows_total\{endpoint="three",model="three",version="1"\}/;
      const before = await counted(rows);
      const { stream, ended } = client.open(STREAM_INFER);
      const messages = 20_000;
      stream.pause();
      stream.end(Buffer.concat(Array.from({ length: messages }, (_, i) => message('three', [i], String(i)))));
      let scored = 0;
      await vi.waitFor(
        async () => {
          const now = (await counted(rows)) - before;
          const hasStopped = now > 0 && now === scored;
          scored = now;
          expect(hasStopped).toBe(true);
        },
        { timeout: 20_000, interval: 200 },
      );
      expect(scored).toBeLessThan(messages / 2);
      stream.resume();
      const { messages: answers, status } = await ended;
      expect([answers.length, status]).toEqual([messages, 0]);
    });

    test('ends with a status for what is no message at all', async () => {
      const { stream, ended } = client.open(STREAM_INFER);
      stream.end(Buffer.concat([message('three', [1], 'a'), Buffer.from([7, 0, 0, 0, 0])]));
      expect(await ended).toMatchObject({ status: 3, message: /the flag 7/ });
      const cut = client.open(STREAM_INFER);
      cut.stream.end(message('three', [1], 'a').subarray(0, 20));
      expect(await cut.ended).toMatchObject({ status: 3, message: /within a message/ });
    });

    test('keeps its deadline as a whole', async () => {
      const { stream, ended } = client.open(STREAM_INFER, { 'grpc-timeout': '80m' });
      stream.write(message('three', [1], 'a'));
      const { messages, status } = await ended;
      expect([messages.length, status]).toEqual([1, 4]);
    });
  });

  test('health is told of the server and of each service, and not of others', async () => {
    const check = (service: string) =>
      client.call('/grpc.health.v1.Health/Check', framed(HealthCheckRequestSchema, { service }));
    for (const service of ['', 'inference.GRPCInferenceService', 'grpc.health.v1.Health']) {
      expect(answerOf(HealthCheckResponseSchema, await check(service)).status).toBe(1);
    }
    expect(await check('nobody')).toMatchObject({ status: 5, message: /no service "nobody"/ });
  });

  test.each(['v1', 'v1alpha'])('reflection %s describes the services', async (version) => {
    const { stream, ended } = client.open(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`);
    const asks = [
      { case: 'listServices', value: '' },
      { case: 'fileContainingSymbol', value: 'inference.GRPCInferenceService.ModelInfer' },
      { case: 'fileContainingSymbol', value: 'inference.ModelInferRequest.InferInputTensor' },
      { case: 'fileByFilename', value: 'grpc/health/v1/health.proto' },
      { case: 'fileContainingSymbol', value: 'nobody' },
      { case: 'allExtensionNumbersOfType', value: 'nobody' },
    ] as const;
    for (const messageRequest of asks) stream.write(framed(ServerReflectionRequestSchema, { messageRequest }));
    stream.end();
    const { messages, status } = await ended;
    expect(status).toBe(0);
    const answers = messages.map((bytes) => fromBinary(ServerReflectionResponseSchema, bytes).messageResponse);
    expect(answers.map((each) => each.case)).toEqual([
      'listServicesResponse',
      'fileDescriptorResponse',
      'fileDescriptorResponse',
      'fileDescriptorResponse',
      'errorResponse',
      'errorResponse',
    ]);
    const [services] = answers;
    expect(services?.case === 'listServicesResponse' && services.value.service.map(({ name }) => name)).toEqual([
      'inference.GRPCInferenceService',
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
    ]);
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
