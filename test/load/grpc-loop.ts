/**
 * gRPC load in frames of HTTP/2 written by hand, always the same bytes: a client of node:http2 needs more CPU a call than
 * the server that this measures. It knows just what it needs of the protocol, and any answer without data ends it.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Sample } from './generator.ts';
import { cpuMicroseconds } from './processes.ts';

export interface GrpcTarget {
  readonly name: string;
  /** `127.0.0.1:9001` */
  readonly address: string;
  readonly pid: number;
  readonly path: string;
  /** One message, with its prefix. */
  readonly message: Buffer;
  readonly key: string | undefined;
}

const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE] = [0, 1, 3, 4, 6, 7, 8] as const;
const [END_STREAM, ACK, END_HEADERS] = [1, 1, 4] as const;
const WINDOW_BYTES = 2 ** 30;

/** Unary calls, `concurrency` at a time on each of so many connections. */
export async function grpcLoop(
  target: GrpcTarget,
  connections: number,
  concurrency: number,
  seconds: number,
): Promise<Sample> {
  const latenciesMs: number[] = [];
  return measure(target, connections, seconds, latenciesMs, (connection) => {
    const sentMs = new Map<number, number>();
    const call = () => sentMs.set(connection.call(target.message, true), performance.now());
    connection.onEnd = (stream, hadData) => {
      const nowMs = performance.now();
      if (!hadData) throw new Error(`${target.name}: a call failed`);
      latenciesMs.push(nowMs - (sentMs.get(stream) ?? nowMs));
      sentMs.delete(stream);
      call();
    };
    for (let i = 0; i < concurrency; i++) call();
  });
}

/** Messages of one ModelStreamInfer a connection, `inFlight` of them unanswered at a time. */
export async function grpcStreamLoop(
  target: GrpcTarget,
  connections: number,
  inFlight: number,
  seconds: number,
): Promise<Sample> {
  const latenciesMs: number[] = [];
  return measure(target, connections, seconds, latenciesMs, (connection) => {
    const sentMs: number[] = [];
    let held: Buffer = Buffer.alloc(0);
    const send = (count: number) => {
      const nowMs = performance.now();
      for (let i = 0; i < count; i++) sentMs.push(nowMs);
      connection.data(stream, Buffer.concat(new Array<Buffer>(count).fill(target.message)));
    };
    connection.onData = (_stream, bytes) => {
      held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
      const nowMs = performance.now();
      let count = 0;
      for (let length = 5; held.length >= length; ) {
        const whole = 5 + held.readUInt32BE(1);
        if (held.length < whole) break;
        if (held[5] !== 0x12) throw new Error(`${target.name}: a message failed: ${held.toString('latin1', 5, whole)}`);
        held = held.subarray(whole);
        latenciesMs.push(nowMs - (sentMs.shift() ?? nowMs));
        count++;
        length = 5;
      }
      if (count > 0) send(count);
    };
    connection.onEnd = () => {
      throw new Error(`${target.name}: the stream ended`);
    };
    const stream = connection.call(undefined, false);
    send(inFlight);
  });
}

async function measure(
  target: GrpcTarget,
  connections: number,
  seconds: number,
  latenciesMs: number[],
  begin: (connection: Connection) => void,
): Promise<Sample> {
  const failed = Promise.withResolvers<never>();
  const opened = await Promise.all(
    Array.from({ length: connections }, async () => {
      const [host = '', port] = target.address.split(':');
      const socket = connect({ host, port: Number(port), noDelay: true });
      await once(socket, 'connect');
      return new Connection(socket, target, failed.reject);
    }),
  );
  for (const connection of opened) begin(connection);
  const [startMs, cpuBefore] = [performance.now(), cpuMicroseconds(target.pid)];
  await Promise.race([new Promise((resolve) => setTimeout(resolve, seconds * 1000)), failed.promise]);
  const [tookMs, cpu] = [performance.now() - startMs, cpuMicroseconds(target.pid) - cpuBefore];
  for (const { socket } of opened) socket.removeAllListeners('close').destroy();
  failed.promise.catch(() => undefined);
  const count = latenciesMs.length;
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number) => latenciesMs[Math.floor(count * share)] ?? Number.NaN;
  return {
    requestsPerSecond: (count * 1000) / tookMs,
    cpuMicrosecondsPerRequest: cpu / count,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

/** One connection. What is sent in a turn of the event loop is one write. */
class Connection {
  readonly socket: Socket;
  onEnd: (stream: number, hadData: boolean) => void = () => undefined;
  onData: ((stream: number, bytes: Buffer) => void) | undefined;
  readonly #first: Buffer;
  readonly #next: Buffer;
  readonly #withData = new Set<number>();
  #lastStream = -1;
  #held: Buffer = Buffer.alloc(0);
  #out: Buffer[] = [];
  #receivedBytes = 0;

  constructor(socket: Socket, { address, path, key, name }: GrpcTarget, fail: (error: Error) => void) {
    this.socket = socket;
    // The first call names its headers; they are then in the connection's table, and the next ones name their places.
    const named: [index: number, name: string, value: string][] = [
      [4, ':path', path],
      [1, ':authority', address],
      [31, 'content-type', 'application/grpc'],
      [0, 'te', 'trailers'],
      ...(key === undefined ? [] : ([[23, 'authorization', `Bearer ${key}`]] as [number, string, string][])),
    ];
    this.#first = Buffer.concat([Buffer.from([0x83, 0x86]), ...named.map(literal)]);
    this.#next = Buffer.from([0x83, 0x86, ...named.map((_, i) => 0x80 | (61 + named.length - i))]);
    const window = Buffer.alloc(4);
    window.writeUInt32BE(WINDOW_BYTES);
    const settings = Buffer.concat([Buffer.from([0, 2, 0, 0, 0, 0, 0, 4]), window]);
    this.#out.push(
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(SETTINGS, 0, 0, settings),
      frame(WINDOW_UPDATE, 0, 0, window),
    );
    this.#flush();
    socket.once('close', () => fail(new Error(`${name} closed a connection`)));
    socket.on('data', (chunk: Buffer) => {
      try {
        this.#received(chunk);
      } catch (error) {
        fail(error as Error); // only errors are thrown here
      }
    });
  }

  /** @returns the stream's id */
  call(message: Buffer | undefined, isWhole: boolean): number {
    const isFirst = this.#lastStream < 0;
    this.#lastStream += 2;
    this.#out.push(frame(HEADERS, END_HEADERS, this.#lastStream, isFirst ? this.#first : this.#next));
    if (message !== undefined) this.#out.push(frame(DATA, isWhole ? END_STREAM : 0, this.#lastStream, message));
    this.#flush();
    return this.#lastStream;
  }

  data(stream: number, bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += 16_384) {
      this.#out.push(frame(DATA, 0, stream, bytes.subarray(at, at + 16_384)));
    }
    this.#flush();
  }

  #flush(): void {
    if (this.#out.length > 0 && !this.#isDue) {
      this.#isDue = true;
      queueMicrotask(() => {
        this.#isDue = false;
        this.socket.write(Buffer.concat(this.#out));
        this.#out = [];
      });
    }
  }
  #isDue = false;

  #received(chunk: Buffer): void {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    let at = 0;
    while (bytes.length - at >= 9) {
      const length = bytes.readUIntBE(at, 3);
      const end = at + 9 + length;
      if (end > bytes.length) break;
      this.#frame(
        bytes.readUInt8(at + 3),
        bytes.readUInt8(at + 4),
        bytes.readUInt32BE(at + 5),
        bytes.subarray(at + 9, end),
      );
      at = end;
    }
    this.#held = bytes.subarray(at);
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === DATA) {
      this.#receivedBytes += payload.length;
      if (this.onData === undefined) this.#withData.add(stream);
      else this.onData(stream, payload);
      if (this.#receivedBytes > WINDOW_BYTES / 4) this.#widen(stream);
    } else if (type === SETTINGS && (flags & ACK) === 0) this.#out.push(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    else if (type === PING && (flags & ACK) === 0) this.#out.push(frame(PING, ACK, 0, payload));
    else if (type === GOAWAY || type === RST_STREAM) throw new Error(`the server sent a frame of type ${type}`);
    if ((type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0) {
      this.onEnd(stream, this.#withData.delete(stream));
    }
    this.#flush();
  }

  #widen(stream: number): void {
    const by = Buffer.alloc(4);
    by.writeUInt32BE(this.#receivedBytes);
    this.#receivedBytes = 0;
    this.#out.push(frame(WINDOW_UPDATE, 0, 0, by));
    if (this.onData !== undefined) this.#out.push(frame(WINDOW_UPDATE, 0, stream, by));
  }
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** HPACK: a literal that goes into the table. */
function literal([index, name, value]: readonly [number, string, string]): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  return Buffer.concat([Buffer.from([0x40 | index]), ...(index === 0 ? [text(name)] : []), text(value)]);
}
