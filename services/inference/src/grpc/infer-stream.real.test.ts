import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { InferenceUnderTest } from '../inference-under-test.ts';
import { frame } from './framing.ts';
import * as pb from './gen/inference/inference_pb.ts';
import { floatRequest, framed, type GrpcClient, metricOf, STREAM_INFER, startDoor } from './grpc-under-test.ts';

describe('a stream of ModelStreamInfer', () => {
  const resources = new AsyncDisposableStack();
  let inference: InferenceUnderTest;
  let client: GrpcClient;

  beforeAll(async () => {
    ({ inference, client } = await startDoor(resources, ['three', 'slow']));
  });
  afterAll(() => resources.disposeAsync());

  const counted = (series: RegExp) => metricOf(inference, series);

  const answer = (bytes: Buffer | undefined) => fromBinary(pb.ModelStreamInferResponseSchema, bytes ?? Buffer.alloc(0));
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
