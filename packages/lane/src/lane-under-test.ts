/** For the tests of this package: a real app with the lane before it, and connections that write bytes as they are. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AssayError } from '@assay/contracts';
import {
  type App,
  acceptRawJson,
  createHttpApp,
  drainAndClose,
  type HttpLimits,
  listen,
  openServerTls,
  tlsSettings,
} from '@assay/http';
import type { Certificates } from '@assay/http/testing/certificates';
import { createLogger, createRegistry, defineConfig } from '@assay/runtime';
import { addForeignRoutes, type Wait } from './foreign-routes-under-test.ts';
import type { HandoverReason, LaneAnswer, LaneRoute } from './interfaces.ts';
import { addLane, type Lane } from './lane.ts';

/**
 * What the echo route does with a body: `hold` waits for `release`, `fail` fails, `alone` tells whether the request is; all
 * others come back.
 */
export interface EchoApp extends AsyncDisposable {
  readonly app: App;
  readonly url: string;
  /** Under TLS: the authority to trust. */
  readonly ca: Buffer | undefined;
  readonly lane: Lane | undefined;
  readonly handovers: HandoverReason[];
  readonly passedOn: HandoverReason[];
  /** What became of requests to routes that are not the lane's. */
  readonly waits: readonly Wait[];
  /** The server's ends of its connections. */
  readonly sockets: ReadonlySet<Socket>;
  /** Requests that wait. */
  readonly held: number;
  release(): void;
}

export const BODY_LIMIT = 256 * 1024;

export interface EchoOptions {
  readonly lane: boolean;
  readonly limits?: Partial<HttpLimits>;
  /** Absent: in plain text. */
  readonly certificates?: Certificates | undefined;
}

async function tlsOf({ serverCertFile, serverKeyFile }: Certificates) {
  const config = { tlsCertFile: serverCertFile, tlsKeyFile: serverKeyFile, tlsClientCaFile: undefined };
  return await openServerTls(defineConfig('echo', tlsSettings), config);
}

export async function startEcho(options: EchoOptions): Promise<EchoApp> {
  const registry = createRegistry();
  const log = createLogger({ service: 'echo', level: 'silent' });
  const app = createHttpApp({
    service: 'echo',
    version: '1.2.3',
    log,
    registry,
    ready: () => ({ ready: true, checks: {} }),
    describe: { title: 'Echo', description: 'For tests.' },
    limits: { bodyBytes: BODY_LIMIT, ...options.limits },
    tls: options.certificates === undefined ? undefined : await tlsOf(options.certificates),
  });
  const waiting: (() => void)[] = [];
  const echo = async (name: string | undefined, body: Buffer, isAlone = false): Promise<string> => {
    const text = body.toString('latin1');
    if (text.startsWith('hold')) await new Promise<void>((resolve) => waiting.push(resolve));
    if (text.startsWith('fail')) throw new AssayError('OVERLOADED', 'too much', { retryAfterMs: 2000 });
    if (text.startsWith('large')) return JSON.stringify('x'.repeat(Number(text.slice(6))));
    if (text.startsWith('alone')) return JSON.stringify(isAlone);
    return JSON.stringify({ name, text });
  };
  void app.register(async (plugin) => {
    const scope: App = plugin;
    acceptRawJson(scope, ['application/json', '*']);
    scope.post('/echo/:name', { config: { access: 'score' }, bodyLimit: BODY_LIMIT }, async (request, reply) => {
      const { name } = request.params as { name: string }; // of the path
      const text = await echo(name, Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0));
      reply.header('content-type', 'application/json');
      return reply.send(text as never); // sent as it is
    });
  });
  app.get('/alive', { config: { access: 'public' } }, () => ({ alive: true }));
  const waits = addForeignRoutes(app);
  const handovers: HandoverReason[] = [];
  const passedOn: HandoverReason[] = [];
  const json = (text: string): LaneAnswer => ({
    statusCode: 200,
    headers: { 'content-type': 'application/json' },
    text,
  });
  const routes: LaneRoute[] = [
    {
      method: 'POST',
      pattern: '/echo/:name',
      access: 'score',
      bodyLimitBytes: BODY_LIMIT,
      takes: ({ headers }) => (headers['content-type'] ?? 'application/json') === 'application/json',
      handle: async ({ params, body, isAlone }) => json(await echo(params.name, body, isAlone)),
    },
    {
      method: 'GET',
      pattern: '/alive',
      access: 'public',
      bodyLimitBytes: 0,
      takes: () => true,
      handle: () => json('{"alive":true}'),
    },
  ];
  const told = {
    handedOver: (reason: HandoverReason) => handovers.push(reason),
    passedOn: (reason: HandoverReason) => passedOn.push(reason),
  };
  const lane = options.lane ? addLane(app, { routes, ...told }) : undefined;
  const sockets = new Set<Socket>();
  app.server.on(options.certificates === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const url = await listen(app, { host: '127.0.0.1', port: 0 });
  return {
    app,
    url,
    ca: options.certificates === undefined ? undefined : readFileSync(options.certificates.caFile),
    lane,
    handovers,
    passedOn,
    waits,
    sockets,
    get held() {
      return waiting.length;
    },
    release: () => waiting.splice(0).forEach((resolve) => void resolve()),
    async [Symbol.asyncDispose]() {
      waiting.splice(0).forEach((resolve) => void resolve());
      await drainAndClose(app, { drainDelayMs: 0, closeTimeoutMs: 0 });
    },
  };
}

export interface RawClient extends Disposable {
  readonly socket: Socket;
  readonly received: string;
  write(bytes: string | Uint8Array): void;
  /** All that arrived until the server closed. */
  readonly closed: Promise<string>;
  /** Resolves when so many answers have arrived whole, or the server has closed. */
  answers(count: number): Promise<string>;
}

/** @param halfOpen stays open for reading after its own end */
export async function connectTo(
  { url, ca }: Pick<EchoApp, 'url' | 'ca'>,
  { halfOpen = false } = {},
): Promise<RawClient> {
  const { hostname, port } = new URL(url);
  const to = { port: Number(port), host: hostname, allowHalfOpen: halfOpen };
  const socket = ca === undefined ? connect(to) : connectTls({ ...to, ca });
  socket.setNoDelay(true);
  let received = '';
  const changed = new Set<() => void>();
  const tell = () => {
    for (const look of changed) look();
  };
  let isClosed = false;
  socket.setEncoding('latin1').on('data', (text) => {
    received += text;
    tell();
  });
  socket.on('error', () => {}); // a reset is an end like another; `closed` tells
  const closed = new Promise<string>((resolve) =>
    socket.once('close', () => {
      isClosed = true;
      tell();
      resolve(received);
    }),
  );
  await once(socket, ca === undefined ? 'connect' : 'secureConnect');
  return {
    socket,
    get received() {
      return received;
    },
    write: (bytes) => void socket.write(bytes),
    closed,
    answers: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (!isClosed && splitAnswers(received).length < count) return;
          changed.delete(look);
          resolve(received);
        };
        changed.add(look);
        look();
      }),
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

/** The whole answers in a text, `withoutChance`. */
export function splitAnswers(received: string): string[] {
  const found: string[] = [];
  let rest = received;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return found;
    const length = Number(/^content-length: (\d+)/im.exec(rest.slice(0, end))?.[1] ?? 0);
    if (rest.length < end + 4 + length) return found;
    found.push(withoutChance(rest.slice(0, end + 4 + length)));
    rest = rest.slice(end + 4 + length);
  }
}

/** What differs from call to call left out. */
export function withoutChance(received: string): string {
  return received.replace(/^Date: .*$/gm, 'Date: *').replace(/req_[0-9a-z]{26}/g, 'req_*');
}

export function post(path: string, body: string, headers: readonly string[] = []): string {
  const lines = [`POST ${path} HTTP/1.1`, 'Host: localhost', 'Content-Type: application/json', ...headers];
  return `${lines.join('\r\n')}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Every way to cut the bytes in two, a few at a time. */
export async function atEveryCut(
  bytes: string,
  check: (pieces: readonly string[], cut: number) => Promise<void>,
): Promise<void> {
  const cuts = Array.from({ length: bytes.length - 1 }, (_, i) => i + 1);
  for (let from = 0; from < cuts.length; from += 16) {
    await Promise.all(cuts.slice(from, from + 16).map((cut) => check([bytes.slice(0, cut), bytes.slice(cut)], cut)));
  }
}

export async function metricsOf(app: EchoApp): Promise<string> {
  using client = await connectTo(app);
  client.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  return await client.closed;
}
