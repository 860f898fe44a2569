/**
 * Load from raw sockets, each with one request at a time. Autocannon needs more CPU a request than
 * the servers that this measures, and would hold them up; it stays the generator of everything slower.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Sample } from './generator.ts';
import { cpuMicroseconds } from './processes.ts';
import { answerReader } from './raw-http.ts';

export interface RawTarget {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  /** Default: POST. */
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly body: string | Buffer;
  /** Instead of always the same. */
  readonly nextBody?: () => string;
  /** One of so many calls is a GET of this path instead. */
  readonly other?: { readonly path: string; readonly oneOf: number };
  /** Of a URL with https: the authority to trust. */
  readonly ca?: Buffer | undefined;
  readonly headers?: readonly string[];
  /** Of calls with the same body that follow on the first: all of them together count as one request. */
  readonly thenPaths?: readonly string[];
}

/** Any answer but a 200 ends the benchmark: a fast error is no result. */
export async function closedLoop(target: RawTarget, connections: number, seconds: number): Promise<Sample> {
  const { hostname, port } = new URL(target.url);
  const head = [`Host: ${hostname}:${port}`, 'Content-Type: application/json', ...(target.headers ?? [])].join('\r\n');
  const start = (path: string): string => `${target.method ?? 'POST'} ${path} HTTP/1.1\r\n${head}`;
  const calls = [target.path, ...(target.thenPaths ?? [])].map((path) => callsOf(target, start(path), head));
  const failed = Promise.withResolvers<never>();
  const latenciesMs: number[] = [];
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const to = { port: Number(port), host: hostname, noDelay: true };
      const socket = target.ca === undefined ? connect(to) : connectTls({ ...to, ca: target.ca });
      await once(socket, target.ca === undefined ? 'connect' : 'secureConnect');
      return socket;
    }),
  );
  for (const socket of sockets) {
    socket.once('close', () => failed.reject(new Error(`${target.name} closed a connection`)));
    ask(socket, calls, latenciesMs, failed.reject);
  }
  const [startMs, cpuBefore] = [performance.now(), cpuMicroseconds(target.pid)];
  await Promise.race([new Promise((resolve) => setTimeout(resolve, seconds * 1000)), failed.promise]);
  const [tookMs, cpu] = [performance.now() - startMs, cpuMicroseconds(target.pid) - cpuBefore];
  for (const socket of sockets) socket.removeAllListeners('close').destroy();
  failed.promise.catch(() => undefined);
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number) => latenciesMs[Math.floor(latenciesMs.length * share)] ?? Number.NaN;
  return {
    requestsPerSecond: (latenciesMs.length * 1000) / tookMs,
    cpuMicrosecondsPerRequest: cpu / latenciesMs.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

/** The bytes of one call after another. */
type Calls = () => Buffer;

function callsOf({ body, nextBody, other }: RawTarget, start: string, head: string): Calls {
  const withBody = (bytes: string | Buffer): Buffer =>
    Buffer.concat([
      Buffer.from(`${start}\r\nContent-Length: ${Buffer.byteLength(bytes)}\r\n\r\n`),
      typeof bytes === 'string' ? Buffer.from(bytes) : bytes,
    ]);
  if (nextBody !== undefined) return () => withBody(nextBody());
  const call = withBody(body);
  if (other === undefined) return () => call;
  const otherCall = Buffer.from(`GET ${other.path} HTTP/1.1\r\n${head}\r\n\r\n`);
  let count = 0;
  return () => (++count % other.oneOf === 0 ? otherCall : call);
}

function ask(socket: Socket, calls: readonly Calls[], latenciesMs: number[], fail: (error: Error) => void): void {
  let sentMs = performance.now();
  let answered = 0;
  const readAnswer = answerReader((head, bytes) => {
    if (!head.startsWith('HTTP/1.1 200 ')) fail(new Error(bytes.toString('utf8').slice(0, 1000)));
    answered = (answered + 1) % calls.length;
    if (answered === 0) latenciesMs.push(performance.now() - sentMs);
    const call = calls[answered]?.() ?? Buffer.alloc(0);
    if (answered === 0) sentMs = performance.now();
    socket.write(call);
  });
  socket.on('data', readAnswer);
  socket.write(calls[0]?.() ?? Buffer.alloc(0));
}
