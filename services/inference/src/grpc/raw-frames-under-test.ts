/** For the tests of this door: HTTP/2 frames by hand (RFC 9113), in the order and number that no library would send. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';

export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;
/** The identifier of SETTINGS_INITIAL_WINDOW_SIZE. */
export const INITIAL_WINDOW = 4;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const HEAD_BYTES = 9;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export interface RawPeer extends AsyncDisposable {
  readonly socket: Socket;
  /** What has come, in its order. */
  readonly frames: readonly Frame[];
  readonly isClosed: boolean;
  /** Resolves when the bytes are the kernel's, or the connection has ended. */
  send(bytes: Buffer): Promise<void>;
}

export function rawFrame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Header fields as HPACK literals that no table remembers (RFC 7541 §6.2.2). */
export function headerBlock(fields: Iterable<readonly [name: string, value: string]>): Buffer {
  return Buffer.concat(Array.from(fields, (field) => [Buffer.from([0]), ...field.map(hpackString)]).flat());
}

/** The header fields of a gRPC call. */
export function callFields(path: string): [string, string][] {
  return [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'localhost'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ];
}

/** Begins a gRPC call. */
export function openFrame(stream: number, path: string): Buffer {
  return rawFrame(FRAME.headers, END_HEADERS, stream, headerBlock(callFields(path)));
}

/** Lets the peer send so many bytes more: in a stream, or in all together where it is 0. */
export function windowFrame(stream: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes, 0);
  return rawFrame(FRAME.windowUpdate, 0, stream, payload);
}

function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length: number[] = [];
  let rest = bytes.length;
  if (rest < 127) length.push(rest);
  else {
    length.push(127);
    for (rest -= 127; rest > 127; rest >>>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** Connects and has sent the preface and its SETTINGS: pairs of identifier and value. */
export async function rawPeer(
  address: string | undefined,
  settings: readonly (readonly [number, number])[] = [],
): Promise<RawPeer> {
  const [host, port] = (address ?? '').split(':');
  const socket = createConnection(Number(port), host);
  const frames: Frame[] = [];
  let [bytes, isClosed] = [Buffer.alloc(0), false];
  socket.on('error', () => undefined); // it closes
  socket.on('close', () => {
    isClosed = true;
  });
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + bytes.readUIntBE(0, 3);
      if (bytes.length < end) break;
      const [type, flags] = [bytes.readUInt8(3), bytes.readUInt8(4)];
      frames.push({ type, flags, stream: bytes.readUInt32BE(5), payload: bytes.subarray(HEAD_BYTES, end) });
      bytes = bytes.subarray(end);
    }
  });
  await once(socket, 'connect');
  const pairs = settings.map(([id, value]) => {
    const pair = Buffer.alloc(6);
    pair.writeUInt16BE(id, 0);
    pair.writeUInt32BE(value, 2);
    return pair;
  });
  socket.write(Buffer.concat([PREFACE, rawFrame(FRAME.settings, 0, 0, Buffer.concat(pairs))]));
  return {
    socket,
    frames,
    get isClosed() {
      return isClosed;
    },
    send: (sent) =>
      new Promise((resolve) => {
        if (isClosed || socket.destroyed) return resolve();
        socket.write(sent, () => resolve()); // called with an error where the connection ends first
      }),
    async [Symbol.asyncDispose]() {
      if (isClosed) return;
      socket.destroy();
      await once(socket, 'close');
    },
  };
}
