/**
 * Requests at random times that were drawn before (a Poisson process), by a process of its own that does nothing else:
 * instead of sleeping, which wakes up late, it asks the clock and the sockets in turns without a pause. A latency counts
 * from when the request was due, so that what is sent late by this process, or for want of a connection, is in it.
 *
 * How far this process can be wrong is measured too. A request is sent some time after it was due, and an answer is read
 * some time after it came, at most since the sockets were asked the last time but one; both together are its own error.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { answerReader, type Post, postBytes } from './raw-http.ts';

export interface PacedOptions {
  readonly perSecond: number;
  readonly seconds: number;
  /** A request that finds none free waits, and its latency counts on. */
  readonly connections: number;
}

/** Milliseconds. */
export interface Paced {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of this process: so much too long a request seemed to take at most, in 99 of 100 cases. */
  readonly ownErrorP99Ms: number;
}

/** Answers are looked for after so many were sent, also when more are due. */
const SENT_AT_ONCE = 16;
const PATIENCE_MS = 10_000;

/** @throws Error for any answer but a 200, or when answers do not come */
async function paced(post: Post, { perSecond, seconds, connections }: PacedOptions): Promise<Paced> {
  const { hostname, port } = new URL(post.url);
  const request = postBytes(post);
  const dueAfterMs = arrivals(perSecond, seconds);
  const total = dueAfterMs.length;
  const [latencyMs, ownErrorMs] = [new Float64Array(total), new Float64Array(total)];
  const idle: Socket[] = [];
  const outcome = Promise.withResolvers<void>();
  let [sent, answered, isOver] = [0, 0, false];
  /** When the sockets were last asked, and when before that: an answer that is read now came after the latter. */
  let [askedMs, askedBeforeMs] = [performance.now(), performance.now()];
  /** When a request last found no connection free: what is late because of that is no fault of this process. */
  let blockedMs = 0;

  const asking = new Map<Socket, number>();
  const chunks = Buffer.allocUnsafe(65_536);
  const open = (): Socket => {
    const readAnswer = answerReader((head, bytes) => {
      if (!head.startsWith('HTTP/1.1 200 ')) outcome.reject(new Error(bytes.toString('utf8').slice(0, 1000)));
      const nowMs = performance.now();
      const number = asking.get(socket) ?? 0;
      latencyMs[number] = nowMs - startMs - (dueAfterMs[number] ?? 0);
      ownErrorMs[number] = (ownErrorMs[number] ?? 0) + (nowMs - askedBeforeMs);
      answered++;
      idle.push(socket);
    });
    // Into one buffer for all: a new one for each read would be half of what a request costs here.
    const callback = (length: number): boolean => {
      readAnswer(chunks.subarray(0, length));
      return true;
    };
    const onread = { buffer: chunks, callback };
    const socket = connect({ port: Number(port), host: hostname, noDelay: true, onread });
    socket.once('error', outcome.reject);
    socket.once('close', () => outcome.reject(new Error(`${post.url} closed a connection`)));
    return socket;
  };
  const sockets = Array.from({ length: connections }, open);
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  idle.push(...sockets);

  const startMs = performance.now();
  function turn(): void {
    for (let burst = 0; burst < SENT_AT_ONCE && sent < total; burst++) {
      const [nowMs, dueMs] = [performance.now(), startMs + (dueAfterMs[sent] ?? 0)];
      if (nowMs < dueMs) break;
      const socket = idle.pop();
      if (socket === undefined) {
        blockedMs = nowMs;
        break;
      }
      asking.set(socket, sent);
      ownErrorMs[sent] = nowMs - Math.max(dueMs, blockedMs);
      sent++;
      socket.write(request);
    }
    [askedBeforeMs, askedMs] = [askedMs, performance.now()];
    if (isOver) return;
    if (answered === total) outcome.resolve();
    else if (askedMs - startMs > seconds * 1000 + PATIENCE_MS) {
      outcome.reject(new Error(`${total - answered} of ${total} answers of ${post.url} did not come`));
    } else setImmediate(turn);
  }
  turn();
  try {
    await outcome.promise;
  } finally {
    isOver = true;
    for (const socket of sockets) socket.removeAllListeners('close').destroy();
  }
  return {
    p50Ms: quantile(latencyMs, 0.5),
    p99Ms: quantile(latencyMs, 0.99),
    ownErrorP99Ms: quantile(ownErrorMs, 0.99),
  };
}

/** When each request is due, in milliseconds after the first could be. */
function arrivals(perSecond: number, seconds: number): Float64Array {
  const due = new Float64Array(Math.round(perSecond * seconds));
  let atMs = 0;
  for (let i = 0; i < due.length; i++) {
    atMs -= (Math.log1p(-Math.random()) * 1000) / perSecond;
    due[i] = atMs;
  }
  return due;
}

function quantile(values: Float64Array, share: number): number {
  return values.toSorted()[Math.floor(share * (values.length - 1))] ?? Number.NaN;
}

process.on('message', async ({ post, options }: { readonly post: Post; readonly options: PacedOptions }) => {
  try {
    process.send?.({ paced: await paced(post, options) });
  } catch (error) {
    process.send?.({ problem: String(error) });
  }
});
