import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { InferenceUnderTest } from '../inference-under-test.ts';
import { ServerReflectionRequestSchema } from './gen/grpc/reflection/v1/reflection_pb.ts';
import { ModelInferRequestSchema } from './gen/inference/inference_pb.ts';
import { floatRequest, framed, type GrpcClient, INFER, metricOf, STREAM_INFER, startDoor } from './grpc-under-test.ts';

const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const REQUEST_TIMEOUT_MS = 300;
const SLOW_ROWS = /assay_inference_rows_total\{endpoint="slow",model="slow",version="1"\}/;
const within = { timeout: 20_000, interval: 20 };

describe('a message that does not come whole', () => {
  const resources = new AsyncDisposableStack();
  let inference: InferenceUnderTest;
  let client: GrpcClient;

  beforeAll(async () => {
    const flags = { requestTimeoutMs: REQUEST_TIMEOUT_MS, grpcMaxStreamMessages: 2, maxBatchRows: 1 };
    ({ inference, client } = await startDoor(resources, ['three', 'slow'], flags));
  });
  afterAll(() => resources.disposeAsync());

  const heldBytes = () => metricOf(inference, /assay_inference_grpc_held_bytes/);
  const message = (model = 'three') => framed(ModelInferRequestSchema, floatRequest(model, [1]));
  const question = () =>
    framed(ServerReflectionRequestSchema, { messageRequest: { case: 'listServices', value: 'x'.repeat(50) } });

  test.each<[string, string, () => Buffer]>([
    ['of a unary call', INFER, message],
    ['of ModelStreamInfer', STREAM_INFER, message],
    ['of reflection', REFLECTION, question],
  ])('%s ends the call, and what came of it is held no longer', async (_, path, whole) => {
    const part = whole().subarray(0, -1);
    const { stream, ended } = client.open(path);
    stream.write(part);
    await vi.waitFor(async () => expect(await heldBytes()).toBe(part.length));
    expect(await ended).toMatchObject({
      status: 4,
      message: `the message did not arrive within ${REQUEST_TIMEOUT_MS} ms`,
      trailers: { 'assay-error-code': 'REQUEST_TIMEOUT' },
    });
    expect(await heldBytes()).toBe(0);
  });

  test('ends a stream after whole ones too, and however slowly its bytes drip', async () => {
    const { stream, ended, received } = client.open(STREAM_INFER);
    stream.write(message());
    await received(1);
    const bytes = message();
    let sent = 0;
    const drip = setInterval(() => void stream.write(bytes.subarray(sent, ++sent)), REQUEST_TIMEOUT_MS / 8);
    const { messages, status, trailers } = await ended;
    clearInterval(drip);
    expect(sent).toBeLessThan(bytes.length);
    expect([messages.length, status, trailers['assay-error-code']]).toEqual([1, 4, 'REQUEST_TIMEOUT']);
  });

  test('leaves a stream alone that is silent between its messages, or before the first', async () => {
    const silent = client.open(STREAM_INFER);
    const { stream, ended, received } = client.open(STREAM_INFER);
    for (let i = 1; i <= 3; i++) {
      stream.write(message());
      await received(i);
      await delay(1.5 * REQUEST_TIMEOUT_MS); // what is tested: such a silence
    }
    for (const open of [stream, silent.stream]) open.end();
    expect((await ended).status).toBe(0);
    expect((await silent.ended).status).toBe(0);
  });

  test('counts no time in which it was the server that did not read', async () => {
    const { stream, ended } = client.open(STREAM_INFER);
    const [messages, rows] = [200, 4];
    const slow = framed(ModelInferRequestSchema, floatRequest('slow', new Array(rows).fill(1)));
    const before = await metricOf(inference, SLOW_ROWS);
    const startedAtMs = performance.now();
    // Two of them are taken at a time, a row is run at a time; the half one is here with the first.
    stream.write(Buffer.concat([...new Array(messages).fill(slow), slow.subarray(0, 20)]));
    await vi.waitFor(async () => expect(await metricOf(inference, SLOW_ROWS)).toBe(before + messages * rows), within);
    expect(performance.now() - startedAtMs).toBeGreaterThan(2 * REQUEST_TIMEOUT_MS);
    stream.end(slow.subarray(20));
    const { messages: answers, status, message: why } = await ended;
    expect([answers.length, status, why]).toEqual([messages + 1, 0, '']);
  });
});
