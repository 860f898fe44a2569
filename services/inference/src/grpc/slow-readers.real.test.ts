import { constants } from 'node:http2';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type InferenceUnderTest, serveStatic, temporaryFolder } from '../inference-under-test.ts';
import { wideModel } from '../models-under-test.ts';
import { MessageReader } from './framing.ts';
import { ModelInferRequestSchema, ModelStreamInferResponseSchema } from './gen/inference/inference_pb.ts';
import { floatRequest, framed, type GrpcClient, grpcClient, INFER, metricOf, STREAM_INFER } from './grpc-under-test.ts';
import {
  END_STREAM,
  FRAME,
  INITIAL_WINDOW,
  openFrame,
  type RawPeer,
  rawFrame,
  rawPeer,
  windowFrame,
} from './raw-frames-under-test.ts';

const KIBIBYTE = 1024;
const FRAME_BYTES = 16 * KIBIBYTE;
const [WIDTH, ROWS] = [4096, 4];
const ANSWER_BYTES = 4 * WIDTH * ROWS;
const STREAM_BYTES = 1024 * KIBIBYTE;
/** As many as are let in before the first answer shows how large they are. */
const FIRST_MESSAGES = 16;
const CALLS = /assay_inference_grpc_calls/;
const PATIENCE_MS = 1000;
const within = { timeout: 20_000, interval: 50 };

/** Requests of a few bytes for answers of `ANSWER_BYTES`, as DATA with as many of them as fit. */
function asking(stream: number, messages: number): Buffer {
  const requests = Array.from({ length: messages }, (_, i) =>
    framed(ModelInferRequestSchema, floatRequest('wide', new Array(ROWS).fill(i), String(i))),
  );
  const bytes = Buffer.concat(requests);
  const frames = Array.from({ length: Math.ceil(bytes.length / FRAME_BYTES) }, (_, i) =>
    rawFrame(FRAME.data, 0, stream, bytes.subarray(i * FRAME_BYTES, (i + 1) * FRAME_BYTES)),
  );
  return Buffer.concat(frames);
}

/** A caller that takes nothing until it says so. */
const shutPeer = (inference: InferenceUnderTest) => rawPeer(inference.service.addresses.grpc, [[INITIAL_WINDOW, 0]]);

function answersOf({ frames }: RawPeer) {
  const reader = new MessageReader(2 * ANSWER_BYTES);
  for (const { type, payload } of frames) if (type === FRAME.data) reader.push(payload);
  const answers: { readonly id: string; readonly last: number }[] = [];
  for (let next = reader.next(); next !== undefined; next = reader.next()) {
    const { inferResponse } = fromBinary(ModelStreamInferResponseSchema, next.bytes);
    const [output = new Uint8Array(4)] = inferResponse?.rawOutputContents ?? [];
    answers.push({ id: inferResponse?.id ?? '', last: Buffer.from(output).readFloatLE(output.length - 4) });
  }
  return answers;
}

const resetsOf = ({ frames }: RawPeer) =>
  frames.filter(({ type }) => type === FRAME.reset).map(({ payload }) => payload.readUInt32BE(0));

describe('a caller that does not take its answers', () => {
  const resources = new AsyncDisposableStack();
  let dir: string;
  let patient: InferenceUnderTest;
  let impatient: InferenceUnderTest;
  let other: GrpcClient;

  beforeAll(async () => {
    ({ path: dir } = resources.use(await temporaryFolder()));
    const models = [{ name: 'wide', path: (await wideModel(dir, WIDTH)).dir }];
    const flags = { grpcPort: 0, grpcMaxMessageBytes: STREAM_BYTES };
    patient = resources.use(await serveStatic(dir, models, flags));
    impatient = resources.use(await serveStatic(dir, models, { ...flags, requestTimeoutMs: PATIENCE_MS }));
    other = resources.use(grpcClient(patient.service.addresses.grpc));
  });
  afterAll(() => resources.disposeAsync());

  const rowsOf = (inference: InferenceUnderTest) =>
    metricOf(inference, /assay_inference_rows_total\{endpoint="wide",model="wide",version="1"\}/);
  const heldBytesOf = (inference: InferenceUnderTest) => metricOf(inference, /assay_inference_grpc_held_bytes/);

  /** Resolves with the rows that were scored when no more are. */
  async function settledRows(inference: InferenceUnderTest): Promise<number> {
    let rows = -1;
    const look = async () => {
      const before = rows;
      rows = await rowsOf(inference);
      expect(rows).toBe(before);
    };
    await vi.waitFor(look, { timeout: 20_000, interval: 300 });
    return rows;
  }

  test('is given no more than has room, while others are served, and all of it in order once it takes it', async () => {
    await using peer = await shutPeer(patient);
    const messages = 500;
    const before = await rowsOf(patient);
    await peer.send(Buffer.concat([openFrame(1, STREAM_INFER), asking(1, messages)]));
    await vi.waitFor(async () => expect(await rowsOf(patient)).toBeGreaterThan(before), within);
    const scored = ((await settledRows(patient)) - before) / ROWS;
    expect(scored).toBeLessThanOrEqual(FIRST_MESSAGES);
    expect(await heldBytesOf(patient)).toBeGreaterThan(0);
    expect(await heldBytesOf(patient)).toBeLessThan(scored * (ANSWER_BYTES + KIBIBYTE) + 2 * KIBIBYTE);
    for (let i = 0; i < 20; i++) expect((await other.infer(floatRequest('wide', [1]))).status).toBe(0);
    expect(peer.frames.filter(({ type }) => type === FRAME.data)).toEqual([]);

    const wide = 2 ** 30;
    await peer.send(Buffer.concat([windowFrame(0, wide), windowFrame(1, wide), rawFrame(FRAME.data, END_STREAM, 1)]));
    const isOver = ({ type, flags }: RawPeer['frames'][number]) => type === FRAME.headers && (flags & END_STREAM) !== 0;
    await vi.waitFor(() => expect(peer.frames.some(isOver)).toBe(true), within);
    const sum = (i: number) => i * (WIDTH - 1);
    expect(answersOf(peer)).toEqual(Array.from({ length: messages }, (_, i) => ({ id: String(i), last: sum(i) })));
    await vi.waitFor(async () => expect(await heldBytesOf(patient)).toBe(0), within);
  });

  test('is let go after a while in which it took nothing, and what waited for it too', async () => {
    await using peer = await shutPeer(impatient);
    const cancelled = new RegExp(`assay_http_requests_total\\{route="${STREAM_INFER}",method="POST",code="499"\\}`);
    await peer.send(Buffer.concat([openFrame(1, STREAM_INFER), asking(1, 100)]));
    await vi.waitFor(async () => expect(await heldBytesOf(impatient)).toBeGreaterThan(0), within);
    await vi.waitFor(() => expect(resetsOf(peer)).toEqual([constants.NGHTTP2_CANCEL]), within);
    expect(await heldBytesOf(impatient)).toBe(0);
    expect(await metricOf(impatient, CALLS)).toBe(0);
    expect(await metricOf(impatient, cancelled)).toBe(1);
    expect(peer.isClosed).toBe(false);
  });

  test('keeps its stream when it takes a little now and then', async () => {
    await using peer = await shutPeer(impatient);
    await peer.send(Buffer.concat([openFrame(1, STREAM_INFER), windowFrame(0, 2 ** 30), asking(1, 30)]));
    const started = performance.now();
    const answered = () => answersOf(peer).length;
    while (answered() < 30 && resetsOf(peer).length === 0) {
      await peer.send(windowFrame(1, 128 * KIBIBYTE));
      const wanted = Math.min(30, answered() + 1);
      await vi.waitFor(() => expect(answered()).toBeGreaterThanOrEqual(wanted), within);
      await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS / 16)); // how slowly it takes them
    }
    expect(performance.now() - started).toBeGreaterThan(1.5 * PATIENCE_MS);
    expect(resetsOf(peer)).toEqual([]);
    expect(answersOf(peer).map(({ id }) => id)).toEqual(Array.from({ length: 30 }, (_, i) => String(i)));
  });

  test.each([
    ['small', 1],
    ['large', 8 * ROWS],
  ])('keeps the one %s answer of a unary call no longer, whether it has ended or not', async (_, rows) => {
    await using peer = await shutPeer(impatient);
    const message = framed(ModelInferRequestSchema, floatRequest('wide', new Array(rows).fill(1)));
    const calls = [0, END_STREAM].map((flags, i) => [
      openFrame(2 * i + 1, INFER),
      rawFrame(FRAME.data, flags, 2 * i + 1, message),
    ]);
    await peer.send(Buffer.concat(calls.flat()));
    await vi.waitFor(async () => expect(await metricOf(impatient, CALLS)).toBe(2), within);
    const { NGHTTP2_CANCEL } = constants;
    await vi.waitFor(() => expect(resetsOf(peer)).toEqual([NGHTTP2_CANCEL, NGHTTP2_CANCEL]), within);
    expect([await metricOf(impatient, CALLS), await heldBytesOf(impatient)]).toEqual([0, 0]);
  });

  test('gets a large answer of a unary call when it takes it slowly, which is counted until then', async () => {
    await using peer = await shutPeer(impatient);
    const rows = 128;
    const message = framed(ModelInferRequestSchema, floatRequest('wide', new Array(rows).fill(1)));
    await peer.send(Buffer.concat([openFrame(1, INFER), rawFrame(FRAME.data, END_STREAM, 1, message)]));
    await vi.waitFor(async () => expect(await heldBytesOf(impatient)).toBeGreaterThan(4 * WIDTH * rows), within);
    await peer.send(windowFrame(0, 2 ** 30));
    const started = performance.now();
    const taken = () =>
      peer.frames.filter(({ type }) => type === FRAME.data).reduce((bytes, { payload }) => bytes + payload.length, 0);
    const trailers = () => peer.frames.some(({ type, flags }) => type === FRAME.headers && (flags & END_STREAM) !== 0);
    while (!trailers() && resetsOf(peer).length === 0) {
      await peer.send(windowFrame(1, 64 * KIBIBYTE));
      await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS / 16)); // how slowly it takes it
    }
    expect(performance.now() - started).toBeGreaterThan(1.5 * PATIENCE_MS);
    expect(resetsOf(peer)).toEqual([]);
    expect(taken()).toBeGreaterThan(4 * WIDTH * rows);
    expect(await heldBytesOf(impatient)).toBe(0);
  });
});
