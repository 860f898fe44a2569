import { once } from 'node:events';
import { constants } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createHttpApp, exchangeOf, readyReport } from '@assay/http';
import { createLogger, createRegistry } from '@assay/runtime';
import { expect, test, vi } from 'vitest';
import { frame } from './framing.ts';
import type { StreamMethod } from './method.ts';
import {
  END_STREAM,
  FRAME,
  INITIAL_WINDOW,
  openFrame,
  rawFrame,
  rawPeer,
  windowFrame,
} from './raw-frames-under-test.ts';
import { createGrpcServer } from './server.ts';

const PATH = '/test.Blobs/Get';
const MEBIBYTE = 1024 * 1024;
/** The server's, where messages are small. */
const MAX_HELD_BYTES = 256 * MEBIBYTE;
const BLOB = frame(Buffer.alloc(50 * MEBIBYTE));
const within = { timeout: 20_000, interval: 20 };

/** Answers each message by the same large one, which is in memory once. */
const blobs: StreamMethod = {
  kind: 'stream',
  access: 'public',
  open: (call) => ({
    message() {
      call.send(BLOB);
      return undefined;
    },
    ended: () => call.finish(),
    isQuiet: true,
  }),
};

async function serveBlobs() {
  const app = createHttpApp({
    service: 'blobs',
    version: '1',
    log: createLogger({ service: 'blobs', level: 'silent' }),
    registry: createRegistry(),
    ready: () => readyReport({}),
    describe: { title: 'Blobs', description: 'For this test.' },
  });
  const grpc = createGrpcServer({
    exchange: exchangeOf(app),
    tls: undefined,
    methods: new Map([[PATH, blobs]]),
    maxMessageBytes: MEBIBYTE,
    maxConcurrentStreams: 100,
  });
  grpc.server.listen(0, '127.0.0.1');
  await once(grpc.server, 'listening');
  const { port } = grpc.server.address() as AddressInfo; // listening on TCP
  return {
    grpc,
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      await grpc.drainAndClose({ drainDelayMs: 0, closeTimeoutMs: 0 });
      await app.close();
    },
  };
}

test('what all callers together do not take is bounded: a stream whose answer has no room ends, the others go on', async () => {
  await using blobServer = await serveBlobs();
  const { grpc, address } = blobServer;
  await using peer = await rawPeer(address, [[INITIAL_WINDOW, 0]]);
  const fitting = Math.floor(MAX_HELD_BYTES / BLOB.length);
  const streams = Array.from({ length: fitting + 1 }, (_, i) => 2 * i + 1);
  const call = (stream: number) => [
    openFrame(stream, PATH),
    rawFrame(FRAME.data, END_STREAM, stream, frame(Buffer.alloc(0))),
  ];
  await peer.send(Buffer.concat(streams.flatMap(call)));
  const resets = () => peer.frames.filter(({ type }) => type === FRAME.reset);
  await vi.waitFor(() => expect(resets()).toHaveLength(1), within);
  const [refused] = resets();
  expect(refused?.stream).toBe(streams.at(-1));
  expect(refused?.payload.readUInt32BE(0)).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  expect(grpc.heldBytes).toBe(fitting * BLOB.length);

  // The first takes its answer: so there is room again.
  await peer.send(Buffer.concat([windowFrame(0, 2 ** 30), windowFrame(1, 2 ** 30)]));
  const trailersOf = (stream: number) =>
    peer.frames.filter((f) => f.type === FRAME.headers && f.stream === stream && (f.flags & END_STREAM) !== 0);
  await vi.waitFor(() => expect(trailersOf(1)).toHaveLength(1), within);
  const taken = peer.frames.filter(({ type, stream }) => type === FRAME.data && stream === 1);
  expect(taken.reduce((bytes, { payload }) => bytes + payload.length, 0)).toBe(BLOB.length);
  expect(grpc.heldBytes).toBe((fitting - 1) * BLOB.length);
  await peer.send(Buffer.concat(call(2 * fitting + 3)));
  await vi.waitFor(() => expect(grpc.heldBytes).toBe(fitting * BLOB.length), within);

  // What waits for a caller that goes away is held no longer.
  peer.socket.destroy();
  await vi.waitFor(() => expect([grpc.heldBytes, grpc.calls]).toEqual([0, 0]), within);
});
