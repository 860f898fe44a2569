/**
 * The HTTP/2 server of the gRPC door, on node:http2: its flow control, its limits on streams, headers and resets. Here are
 * its connections: how many, how idle ones are found dead, and how all end without a call that fails.
 */
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import { Server as NetServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import type { Exchange, ServerTls } from '@assay/http';
import { Call, type CallOwner } from './call.ts';
import type { Method } from './method.ts';

export interface GrpcServerOptions {
  readonly exchange: Exchange;
  /** Absent: HTTP/2 in plain text. */
  readonly tls: ServerTls | undefined;
  /** By path: `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, Method>;
  readonly maxMessageBytes: number;
  /** Calls of one connection at a time. */
  readonly maxConcurrentStreams: number;
}

export interface GrpcServer {
  readonly server: NetServer;
  readonly connections: number;
  readonly calls: number;
  /** Of messages that are not whole yet, and of answers that callers are slow to take. */
  readonly heldBytes: number;
  /**
   * Stops without failing a call: GOAWAY → calls under way and those that crossed it → close. Streams end when nothing in
   * them waits for an answer.
   * @returns how many calls were cut off
   */
  drainAndClose(options: {
    readonly drainDelayMs: number;
    readonly closeTimeoutMs: number;
  }): Promise<{ cutOff: number }>;
}

const SWEEP_MS = 100;
/** A connection that was silent for so long is asked for a sign of life, and closed when it gives none in time. */
const PING_AFTER_MS = 60_000;
const PING_TIMEOUT_MS = 20_000;
const STREAM_WINDOW_BYTES = 256 * 1024;
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;
/** Messages that are not whole yet and answers that wait, of all calls together; some of the largest always fit. */
const HELD_MESSAGES = 8;
const MIN_HELD_BYTES = 256 * 1024 * 1024;
/** A last stream id that no call has: GOAWAY with it says that an end is near, and refuses none that is on its way. */
const ANY_STREAM = 2 ** 31 - 1;
const QUIET_LOOKS = 10;
/** Node closes a session by itself after its last stream, but not always. */
const IDLE_LOOKS = 3;
/** A caller without calls may read no more once it has a GOAWAY; its PING is not waited for longer. */
const GOODBYE_MS = 1000;
const DRAIN_POLL_MS = 20;

interface Connection {
  readonly session: ServerHttp2Session;
  readonly remoteAddress: string | undefined;
  bytesSeen: number;
  seenAtMs: number;
  isPinged: boolean;
  calls: number;
  /** How often in a row the drain saw no call on it, after its last GOAWAY. */
  idleLooks: number;
}

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { exchange, tls, methods, maxMessageBytes, maxConcurrentStreams } = options;
  const { limits } = exchange;
  const connections = new Set<Connection>();
  const bySession = new WeakMap<object, Connection>();
  const calls = new Map<Call, Connection>();
  const maxHeldBytes = Math.max(MIN_HELD_BYTES, HELD_MESSAGES * maxMessageBytes);
  let heldBytes = 0;
  let isClosing = false;
  const owner: CallOwner = {
    exchange,
    methods,
    maxMessageBytes,
    hold(bytes) {
      if (bytes > 0 && heldBytes + bytes > maxHeldBytes) {
        const message = 'too many large messages arrive, or wait to be read, at once; try again later';
        throw new AssayError('OVERLOADED', message, { retryAfterMs: 1000 });
      }
      heldBytes += bytes;
    },
    forget(call) {
      const connection = calls.get(call);
      if (connection !== undefined) connection.calls--;
      calls.delete(call);
    },
  };

  const server = openServer(tls, limits.headersTimeoutMs, {
    settings: {
      enablePush: false,
      maxConcurrentStreams,
      maxHeaderListSize: limits.headerBytes,
      initialWindowSize: STREAM_WINDOW_BYTES,
    },
    maxSessionMemory: 64,
    // A caller whose deadline passes resets its stream: under load that may be thousands. A flood ends its connection.
    streamResetBurst: 10_000,
    streamResetRate: 200,
  });
  server.maxConnections = limits.maxConnections;
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('session', (session) => {
    const seenAtMs = performance.now();
    const { remoteAddress } = session.socket;
    const connection = { session, remoteAddress, bytesSeen: 0, seenAtMs, isPinged: false, calls: 0, idleLooks: 0 };
    connections.add(connection);
    bySession.set(session, connection);
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    session.on('error', (error) => exchange.log.debug({ err: error }, 'a gRPC connection broke'));
    session.once('close', () => connections.delete(connection));
    if (isClosing) void sayGoodbye(session); // it was not encrypted yet when the others were told
  });
  server.on('stream', (stream, headers, _flags, rawHeaders) => {
    const connection = stream.session === undefined ? undefined : bySession.get(stream.session);
    stream.on('error', () => {}); // `close` follows, and says all there is
    if (connection === undefined) return; // the connection is gone already
    connection.calls++;
    const { remoteAddress } = connection;
    // On a server all streams are of that kind.
    calls.set(new Call(owner, stream as ServerHttp2Stream, headers, rawHeaders, remoteAddress), connection);
  });
  server.on('sessionError', () => {}); // the session's own listener has told it
  server.once('listening', () => {
    // Such as too many open files; before, whoever listens is told.
    server.on('error', (error) => exchange.log.error({ err: error }, 'the gRPC port could not take a connection'));
  });

  const sweep = setInterval(() => {
    const nowMs = performance.now();
    for (const call of calls.keys()) call.checkTimes(nowMs);
    for (const connection of connections) checkLife(connection, nowMs);
  }, SWEEP_MS).unref();

  return {
    server,
    get connections() {
      return connections.size;
    },
    get calls() {
      return calls.size;
    },
    get heldBytes() {
      return heldBytes;
    },
    async drainAndClose({ drainDelayMs, closeTimeoutMs }) {
      if (drainDelayMs > 0) await delay(drainDelayMs);
      isClosing = true;
      const [startMs, closeAtMs] = [performance.now(), performance.now() + closeTimeoutMs];
      // Http2Server#close would say goodbye at once, and refuse calls that are on their way; this only stops listening.
      const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
      const told = Promise.all(Array.from(connections, ({ session }) => sayGoodbye(session)));
      const quietLooks = new WeakMap<Call, number>();
      const mayBegin = () => sockets.size > connections.size && performance.now() < startMs + GOODBYE_MS;
      while ((connections.size > 0 || mayBegin()) && performance.now() < closeAtMs) {
        for (const call of calls.keys()) {
          const looks = call.isQuiet ? (quietLooks.get(call) ?? 0) + 1 : 0;
          quietLooks.set(call, looks);
          if (looks >= QUIET_LOOKS) call.finish(stopping());
        }
        for (const connection of connections) {
          const isIdle = connection.session.closed && connection.calls === 0;
          connection.idleLooks = isIdle ? connection.idleLooks + 1 : 0;
          if (connection.idleLooks >= IDLE_LOOKS) connection.session.destroy();
        }
        await delay(DRAIN_POLL_MS);
      }
      const open = [...calls.keys()].filter(({ isAnswered }) => !isAnswered);
      for (const call of open) call.finish(stopping());
      for (const { session } of connections) session.destroy();
      for (const socket of sockets) socket.destroy();
      await Promise.all([told, closed]);
      clearInterval(sweep);
      return { cutOff: open.length };
    },
  };
}

function openServer(tls: ServerTls | undefined, handshakeTimeout: number, options: ServerOptions): Http2Server {
  if (tls === undefined) return createServer(options);
  const server = createSecureServer({ ...options, ...tls.options, ALPNProtocols: ['h2'], handshakeTimeout });
  tls.follow(server);
  return server as unknown as Http2Server; // Node's types have no common one; what is used of it is the same
}

function stopping(): AssayError {
  return new AssayError('UNAVAILABLE', 'the server is stopping; open another stream', { retryAfterMs: 1000 });
}

/**
 * GOAWAY twice, as gRPC's servers do: the first refuses nothing; when its PING is back, the caller knows of the end, all
 * that it had sent before is here, and the second can name the last stream that is answered.
 */
async function sayGoodbye(session: ServerHttp2Session): Promise<void> {
  if (session.destroyed) return;
  session.goaway(0, ANY_STREAM);
  await new Promise<void>((resolve) => {
    const giveUp = setTimeout(resolve, GOODBYE_MS);
    const done = () => {
      clearTimeout(giveUp);
      resolve();
    };
    session.once('close', done);
    try {
      session.ping(done);
    } catch {
      done(); // it was closed meanwhile
    }
  });
  if (!session.destroyed) session.close();
}

function checkLife(connection: Connection, nowMs: number): void {
  const { session } = connection;
  if (session.destroyed) return; // it has no socket any more
  const bytes = session.socket.bytesRead;
  if (bytes !== connection.bytesSeen) {
    connection.bytesSeen = bytes;
    connection.seenAtMs = nowMs;
    connection.isPinged = false;
    return;
  }
  const silentMs = nowMs - connection.seenAtMs;
  if (silentMs > PING_AFTER_MS + PING_TIMEOUT_MS) session.destroy();
  else if (silentMs > PING_AFTER_MS && !connection.isPinged) {
    connection.isPinged = true;
    session.ping(() => {}); // its answer is bytes
  }
}
