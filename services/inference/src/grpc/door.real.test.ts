import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { InferenceUnderTest } from '../inference-under-test.ts';
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
  INFER,
  metricOf,
  outputsOf,
  startDoor,
} from './grpc-under-test.ts';

const SERVICE = '/inference.GRPCInferenceService';

describe('the gRPC door', () => {
  const resources = new AsyncDisposableStack();
  let inference: InferenceUnderTest;
  let client: GrpcClient;

  beforeAll(async () => {
    ({ inference, client } = await startDoor(resources, ['three', 'identity', 'slow']));
  });
  afterAll(() => resources.disposeAsync());

  const counted = (series: RegExp) => metricOf(inference, series);

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
    ).toEqual(['three', 'identity', 'slow'].map((model) => [model, '1', 'READY']));
  });

  test('a request cut at any byte is the same request', async () => {
    const bytes = framed(pb.ModelInferRequestSchema, floatRequest('three', [1]));
    for (let at = 1; at < bytes.length; at++) {
      const { stream, ended } = client.open(INFER);
      stream.write(bytes.subarray(0, at), () => stream.end(bytes.subarray(at)));
      expect(outputsOf(await ended)).toEqual({ version: '0300000000000000' });
    }
  });

  test('a deadline that cannot be met is not waited for, and one that passes while the message arrives ends the call', async () => {
    expect(await client.infer(floatRequest('slow', [1]), { 'grpc-timeout': '0m' })).toMatchObject({ status: 4 });
    const { stream, ended } = client.open(INFER, { 'grpc-timeout': '50m' });
    stream.write(framed(pb.ModelInferRequestSchema, floatRequest('slow', [1])).subarray(0, 7));
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
});
