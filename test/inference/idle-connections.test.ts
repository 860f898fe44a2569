/**
 * Connections that do nothing, or next to nothing: many of them cost little memory, end in time, and nobody who works is
 * held up. CI opens some thousands; `make soak` as many as a server takes by default (SOAK_CONNECTIONS).
 */
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { versionModel } from '../../services/inference/src/models-under-test.ts';
import { type InferenceProcess, startInference } from '../../services/inference/src/process-under-test.ts';
import { startRegistry } from '../../services/inference/src/registry-under-test.ts';
import { temporaryFolder } from '../parts/assay.ts';

const CONNECTIONS = Number(process.env.SOAK_CONNECTIONS ?? 2000);
/** Side by side they would need more open files than this process may have. */
const eachWay = CONNECTIONS > 5000 ? test : test.concurrent;
/** Measured were 7 to 8 by the lane and 16 where Node's parser has them. */
const maxKilobytesEach = (lane: boolean): number => (lane ? 16 : 32);
const WORKERS = 8;
const within = { timeout: 30_000, interval: 20 };
/** Of each kind that does something. */
const ODD = 50;
const OVER_LIMIT = 20;
const BODY_LIMIT_BYTES = 16 * 1024 ** 2;
/** DEFAULT_LIMITS of packages/http, and what the sweep and a busy machine may add. */
const [HEAD_S, REQUEST_S, KEEP_ALIVE_S, MARGIN_S] = [10, 60, 72, 8];

/** A connection, and how it ended. */
interface Idle {
  readonly socket: Socket;
  /** All that came. */
  received: string;
  endedAtMs: number | undefined;
}

function open({ url }: InferenceProcess): Promise<Idle> {
  const { hostname, port } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
  const idle: Idle = { socket, received: '', endedAtMs: undefined };
  socket.setEncoding('latin1').on('data', (text) => {
    idle.received += text;
  });
  const ended = () => {
    idle.endedAtMs ??= performance.now();
    socket.destroy();
  };
  socket.on('error', ended).once('end', ended).once('close', ended); // a reset is an end like another
  return new Promise((resolve) => socket.once('connect', () => resolve(idle)).once('close', () => resolve(idle)));
}

/** Opens them some at a time, as many as a backlog takes. */
async function openMany(server: InferenceProcess, count: number): Promise<Idle[]> {
  const all: Idle[] = [];
  while (all.length < count) {
    const some = Math.min(200, count - all.length);
    all.push(...(await Promise.all(Array.from({ length: some }, () => open(server)))));
  }
  return all;
}

/** Asks something and waits for its answer. */
function askOnce(idle: Idle): Promise<void> {
  const { socket } = idle;
  return new Promise((resolve, reject) => {
    const closed = () => reject(new Error(`closed after ${JSON.stringify(idle.received)}`));
    const look = () => {
      if (!idle.received.includes('{"live":true}')) return;
      socket.off('data', look).off('close', closed);
      resolve();
    };
    socket.on('data', look).once('close', closed);
    socket.write('GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
  });
}

/** Sends a byte of `text` a second, as long as it is let. */
function trickle({ socket }: Idle, text: string): void {
  let sent = 0;
  const timer = setInterval(() => socket.write(text[sent++ % text.length] ?? ''), 1000);
  socket.once('close', () => clearInterval(timer));
}

const isOpen = ({ endedAtMs }: Idle): boolean => endedAtMs === undefined;

/** Resolves when all have ended; they must within so many seconds of `fromMs`, and not long before `notBeforeS`. */
async function endWithin(all: readonly Idle[], fromMs: number, seconds: number, notBeforeS = 0): Promise<void> {
  const left = (seconds + MARGIN_S) * 1000 - (performance.now() - fromMs);
  await vi.waitFor(() => expect(all.filter(isOpen)).toHaveLength(0), { timeout: Math.max(1, left), interval: 100 });
  const firstS = Math.min(...all.map(({ endedAtMs = 0 }) => endedAtMs - fromMs)) / 1000;
  expect(firstS).toBeGreaterThan(notBeforeS);
}

/** Clients that keep their connection each and score without a pause of more than some milliseconds, until they are told. */
function startWorkers({ url }: InferenceProcess, expected: number) {
  let isOver = false;
  let answered = 0;
  let slowestMs = 0;
  const body = JSON.stringify({ records: [{ x: 1 }] });
  const score = (agent: Agent) =>
    new Promise<string>((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': body.length };
      const call = request(
        `${url}/v1/endpoints/seven/score`,
        { method: 'POST', agent, headers, timeout: 20_000 },
        async (response) => {
          const chunks = await response.toArray();
          resolve(`${response.statusCode} ${Buffer.concat(chunks)}`);
        },
      );
      call.once('timeout', () => call.destroy(new Error('no answer')));
      call.once('error', reject).end(body);
    });
  const work = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      while (!isOver) {
        const sentMs = performance.now();
        const answer = await score(agent);
        slowestMs = Math.max(slowestMs, performance.now() - sentMs);
        expect(answer).toMatch(new RegExp(`^200 .*"outputs":\\{"version":${expected}\\}`));
        answered++;
        await delay(20);
      }
    } finally {
      agent.destroy();
    }
  };
  const all = Promise.all(Array.from({ length: WORKERS }, work));
  all.catch(() => undefined); // told by `stop`
  return {
    answered: () => answered,
    async stop() {
      isOver = true;
      await all;
      return { answered, slowestMs };
    },
  };
}

/** On a connection of its own, which does not stay. */
function get({ url }: InferenceProcess, path: string): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    request(`${url}${path}`, { agent: false }, async (response) => {
      resolve({ status: response.statusCode, text: Buffer.concat(await response.toArray()).toString() });
    })
      .once('error', reject)
      .end();
  });
}

async function metricOf(server: InferenceProcess, name: string): Promise<number> {
  return Number(new RegExp(`^${name} (.+)$`, 'm').exec((await get(server, '/metrics')).text)?.[1]);
}

eachWay.each([true, false])('by the lane: %s', { timeout: 200_000 }, async (lane) => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  registry.route('seven', [{ made: await versionModel(folder.path, 7), weight: 10_000 }]);
  await using server = await startInference({
    dir: folder.path,
    registryUrl: registry.url,
    settings: { LANE: lane, MAX_CONNECTIONS: CONNECTIONS },
  });
  await vi.waitFor(async () => expect((await get(server, '/readyz')).status).toBe(200), within);
  const workers = startWorkers(server, 7);
  await vi.waitFor(() => expect(workers.answered()).toBeGreaterThan(100 * WORKERS), within);

  // As many as there may be, each of which asked something once.
  const before = server.usage();
  const idle = await openMany(server, CONNECTIONS - WORKERS);
  await Promise.all(idle.map(askOnce));
  const idleSinceMs = performance.now();
  const refused = await openMany(server, OVER_LIMIT);
  await vi.waitFor(() => expect(refused.filter(isOpen)).toHaveLength(0), within);
  const kilobytesEach = (server.usage().residentBytes - before.residentBytes) / 1024 / idle.length;
  console.log(`by the lane: ${lane}: ${idle.length} idle connections, ${kilobytesEach.toFixed(1)} KB each`);
  expect(kilobytesEach).toBeLessThan(maxKilobytesEach(lane));
  expect(idle.every(isOpen)).toBe(true);

  // Some of them give their places to others, which behave oddly.
  for (const { socket } of idle.splice(0, 5 * ODD)) socket.destroy();
  const atBefore = server.usage().residentBytes;
  const silent = await openMany(server, ODD);
  const oddSinceMs = performance.now();
  const slowHead = await openMany(server, ODD);
  for (const each of slowHead) trickle(each, 'GET /v2/health/live HTTP/1.1\r\nX: ');
  const slowBody = await openMany(server, ODD);
  for (const each of slowBody) {
    each.socket.write(
      `POST /v1/endpoints/seven/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${BODY_LIMIT_BYTES}\r\n\r\n{"records":[`,
    );
    trickle(each, ' ');
  }
  const halfClosed = await openMany(server, ODD);
  for (const each of halfClosed) each.socket.end('POST /v1/endpoints/seven/score HTTP/1.1\r\nHost: loc');
  const answeredHalfClosed = await openMany(server, ODD);
  await Promise.all(answeredHalfClosed.map(askOnce));
  for (const each of answeredHalfClosed) each.socket.end();

  await endWithin([...halfClosed, ...answeredHalfClosed], oddSinceMs, 0);
  expect((server.usage().residentBytes - atBefore) / 1024 ** 2).toBeLessThan(16);
  await endWithin([...silent, ...slowHead], oddSinceMs, HEAD_S, HEAD_S - 1);
  expect([...silent, ...slowHead].filter(({ received }) => !received.startsWith('HTTP/1.1 408 '))).toEqual([]);
  await endWithin(slowBody, oddSinceMs, REQUEST_S, REQUEST_S - 1);
  expect(slowBody.filter(({ received }) => !received.startsWith('HTTP/1.1 408 '))).toEqual([]);
  await endWithin(idle, idleSinceMs, KEEP_ALIVE_S, KEEP_ALIVE_S - 4);

  const { answered, slowestMs } = await workers.stop();
  console.log(
    `by the lane: ${lane}: meanwhile ${answered} requests were answered, the slowest in ${slowestMs.toFixed(0)} ms`,
  );
  expect(await metricOf(server, 'assay_http_connections_refused_total')).toBe(OVER_LIMIT);
  await vi.waitFor(() => expect(server.usage().openFiles).toBeLessThanOrEqual(before.openFiles), within);
  expect(await server.stop()).toBe(0);
});
