import { constants } from 'node:http2';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { temporaryFolder } from '../inference-under-test.ts';
import { versionModel } from '../models-under-test.ts';
import { type InferenceProcess, startInference } from '../process-under-test.ts';
import { startRegistry } from '../registry-under-test.ts';
import { ModelInferRequestSchema } from './gen/inference/inference_pb.ts';
import { floatRequest, framed, type GrpcClient, grpcClient, INFER, STREAM_INFER } from './grpc-under-test.ts';
import {
  callFields,
  END_HEADERS,
  END_STREAM,
  FRAME,
  headerBlock,
  openFrame,
  type RawPeer,
  rawFrame,
  rawPeer,
} from './raw-frames-under-test.ts';

const ACK = 1;
const MAX_STREAMS = 4;
const MEBIBYTE = 1024 * 1024;
/** Of the server, which is a process of its own: heap that grows under any load. A hundred thousand streams would be more. */
const MAX_GROWTH_BYTES = 96 * MEBIBYTE;
const within = { timeout: 20_000, interval: 20 };

describe('the gRPC port, against frames that no client sends', () => {
  const resources = new AsyncDisposableStack();
  let inference: InferenceProcess;
  let other: GrpcClient;

  beforeAll(async () => {
    const { path: dir } = resources.use(await temporaryFolder());
    const registry = resources.use(await startRegistry());
    registry.route('three', [{ made: await versionModel(dir, 3), weight: 10_000 }]);
    inference = resources.use(
      await startInference({
        dir: join(dir, 'cache'),
        registryUrl: registry.url,
        settings: { GRPC_PORT: 0, GRPC_MAX_CONCURRENT_STREAMS: MAX_STREAMS },
      }),
    );
    other = resources.use(grpcClient(inference.grpc));
    await vi.waitFor(expectOthersAreAnswered, within);
    for (let i = 0; i < 500; i++) await expectOthersAreAnswered(); // grown and compiled as far as calls make it
  });
  afterAll(() => resources.disposeAsync());

  const connect = (...settings: (readonly [number, number])[]) => rawPeer(inference.grpc, settings);

  async function expectOthersAreAnswered(): Promise<void> {
    expect((await other.infer(floatRequest('three', [1]))).status).toBe(0);
  }

  /** Sends `piece` until the connection ends, which it must before `pieces` of them. */
  async function expectFloodEnds(peer: RawPeer, piece: (i: number) => Buffer, pieces: number): Promise<void> {
    const before = inference.usage().residentBytes;
    for (let i = 0; i < pieces && !peer.isClosed; i++) {
      await peer.send(piece(i));
      if (i % 20 === 0) await expectOthersAreAnswered();
    }
    await vi.waitFor(() => expect(peer.isClosed).toBe(true), within);
    expect(inference.usage().residentBytes - before).toBeLessThan(MAX_GROWTH_BYTES);
    await expectOthersAreAnswered();
  }

  test('answers calls of hand-made frames, where nothing is wrong with them', async () => {
    await using peer = await connect();
    const message = framed(ModelInferRequestSchema, floatRequest('three', [1]));
    await peer.send(Buffer.concat([openFrame(1, INFER), rawFrame(FRAME.data, END_STREAM, 1, message)]));
    const trailers = () =>
      peer.frames.filter(({ type, flags }) => type === FRAME.headers && (flags & END_STREAM) !== 0);
    await vi.waitFor(() => expect(trailers()).toHaveLength(1), within);
    expect(peer.frames.some(({ type, stream }) => type === FRAME.data && stream === 1)).toBe(true);
    expect(peer.isClosed).toBe(false);
  });

  const streams = Array.from({ length: MAX_STREAMS + 3 }, (_, i) => 2 * i + 1);
  const tooMany = Buffer.concat(streams.map((stream) => openFrame(stream, STREAM_INFER)));

  test('refuses the streams above the limit to who may not know it yet, and no others', async () => {
    await using peer = await connect();
    await peer.send(tooMany);
    const resets = () => peer.frames.filter(({ type }) => type === FRAME.reset);
    await vi.waitFor(() => expect(resets()).toHaveLength(3), within);
    expect(resets().map(({ stream, payload }) => [stream, payload.readUInt32BE(0)])).toEqual(
      streams.slice(MAX_STREAMS).map((stream) => [stream, constants.NGHTTP2_REFUSED_STREAM]),
    );
    expect(peer.isClosed).toBe(false);
    await expectOthersAreAnswered();
  });

  test('ends the connection of who has taken the limit and goes above it', async () => {
    await using peer = await connect();
    await vi.waitFor(() => expect(peer.frames.some(({ type }) => type === FRAME.settings)).toBe(true), within);
    await peer.send(Buffer.concat([rawFrame(FRAME.settings, ACK, 0), tooMany]));
    await vi.waitFor(() => expect(peer.isClosed).toBe(true), within);
    const goodbye = peer.frames.find(({ type }) => type === FRAME.goaway);
    expect(goodbye?.payload.readUInt32BE(4)).toBe(constants.NGHTTP2_PROTOCOL_ERROR);
    await expectOthersAreAnswered();
  });

  test('ends a connection that opens and resets streams by the ten thousand', async () => {
    await using peer = await connect();
    const cancel = Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL]);
    const pairs = (i: number) =>
      Buffer.concat(
        Array.from({ length: 250 }, (_, n) => 2 * (250 * i + n) + 1).flatMap((stream) => [
          openFrame(stream, INFER),
          rawFrame(FRAME.reset, 0, stream, cancel),
        ]),
      );
    await expectFloodEnds(peer, pairs, 400);
  });

  test.each<[string, (peer: RawPeer) => Buffer]>([
    ['PINGs, and never reads the answers', () => rawFrame(FRAME.ping, 0, 0, Buffer.alloc(8))],
    ['SETTINGS, and never reads that they are taken', () => rawFrame(FRAME.settings, 0, 0)],
  ])('ends a connection that floods it with %s', async (_, frame) => {
    await using peer = await connect();
    peer.socket.pause();
    const one = frame(peer);
    const many = Buffer.concat(Array.from({ length: 2000 }, () => one));
    await expectFloodEnds(peer, () => many, 2000);
  });

  test('ends a connection whose headers never end', async () => {
    await using peer = await connect();
    await peer.send(rawFrame(FRAME.headers, 0, 1, headerBlock(callFields(INFER))));
    const empty = rawFrame(FRAME.continuation, 0, 1);
    const many = Buffer.concat(Array.from({ length: 100 }, () => empty));
    await expectFloodEnds(peer, () => many, 500);
  });

  test.each<[string, [string, string][]]>([
    ['a value of 1 MB', [['x-large', 'x'.repeat(1_000_000)]]],
    ['thousands of fields', Array.from({ length: 5000 }, (_, i): [string, string] => [`x-${i}`, 'v'])],
  ])('takes no headers with %s', async (_, fields) => {
    await using peer = await connect();
    const block = headerBlock([...callFields(INFER), ...fields]);
    const parts = Array.from({ length: Math.ceil(block.length / 16_384) }, (__, i) =>
      block.subarray(16_384 * i, 16_384 * (i + 1)),
    );
    const frames = parts.map((part, i) =>
      rawFrame(i === 0 ? FRAME.headers : FRAME.continuation, i === parts.length - 1 ? END_HEADERS : 0, 1, part),
    );
    await peer.send(Buffer.concat(frames));
    const isRefused = () => peer.isClosed || peer.frames.some(({ type }) => type === FRAME.reset);
    await vi.waitFor(() => expect(isRefused()).toBe(true), within);
    expect(peer.frames.filter(({ type }) => type === FRAME.headers || type === FRAME.data)).toEqual([]);
    await expectOthersAreAnswered();
  });

  test('lets a flood of empty DATA cost its own connection only', async () => {
    await using peer = await connect();
    await peer.send(openFrame(1, INFER));
    const before = inference.usage().residentBytes;
    const many = Buffer.concat(Array.from({ length: 1000 }, () => rawFrame(FRAME.data, 0, 1)));
    for (let i = 0; i < 100; i++) await peer.send(many);
    await expectOthersAreAnswered();
    expect(inference.usage().residentBytes - before).toBeLessThan(MAX_GROWTH_BYTES);
    await peer.send(rawFrame(FRAME.data, END_STREAM, 1));
    const isOver = () =>
      peer.isClosed || peer.frames.some(({ type, stream }) => type === FRAME.headers && stream === 1);
    await vi.waitFor(() => expect(isOver()).toBe(true), within);
  });
});
