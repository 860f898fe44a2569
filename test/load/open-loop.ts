/**
 * Requests that arrive when they arrive, whether or not the ones before were answered, each with a deadline. Clients keep
 * their connections; one that has waited for the deadline hangs up and connects again.
 */
import { connect, type Socket } from 'node:net';
import { setImmediate as afterReading, setTimeout as pause } from 'node:timers/promises';
import type { RawTarget } from './closed-loop.ts';
import { answerReader, postBytes } from './raw-http.ts';

export interface OpenLoop {
  readonly perSecond: number;
  readonly seconds: number;
  readonly deadlineMs: number;
  /** What a client does whose deadline has passed. Default `hangsUp`; `waits`: it takes the late answer all the same. */
  readonly impatience?: 'hangsUp' | 'waits';
  /** Every request on a connection of its own. */
  readonly reconnects?: boolean;
}

/** What became of the requests. Latencies are in milliseconds, as the client saw them. */
export interface Outcomes {
  readonly sent: number;
  /** 200 within the deadline. */
  readonly answeredMs: readonly number[];
  /** 503, refused at once. */
  readonly refusedMs: readonly number[];
  readonly refusedWithoutRetryAfter: number;
  /** Admitted, and told or found to be late: 504, or nothing within the deadline. */
  readonly late: number;
  /** Any other answer, by its status, and connections that broke. */
  readonly others: ReadonlyMap<string, number>;
  /** How much later than due each request was sent: the load's own fault, and in no latency. */
  readonly sendLagMs: readonly number[];
  /** When, from the start, the last one was sent that was not answered in time; 0 if all were. */
  readonly lastMissMs: number;
  /** From when the last one was sent until none waited. */
  readonly settledMs: number;
}

/** Of the clients together; while all of them wait, what arrives is counted and not sent. */
const MAX_CONNECTIONS = 2000;
/** The network and this process need some of the deadline too: a client hangs up a little later than it says. */
export const GRACE_MS = 20;

interface Client {
  readonly socket: Socket;
  /** When its request was sent, while that waits. */
  sentMs: number | undefined;
}

export async function openLoop(target: RawTarget, load: OpenLoop): Promise<Outcomes> {
  const { hostname, port } = new URL(target.url);
  const headers = [`Assay-Timeout-Ms: ${load.deadlineMs}`, ...(target.headers ?? [])];
  const request = postBytes({ ...target, headers });
  const startMs = performance.now();
  const idle: Client[] = [];
  const all = new Set<Client>();
  const [answeredMs, refusedMs, sendLagMs]: [number[], number[], number[]] = [[], [], []];
  const others = new Map<string, number>();
  let [sent, late, refusedWithoutRetryAfter, lastMissMs] = [0, 0, 0, 0];
  const count = (what: string): void => void others.set(what, (others.get(what) ?? 0) + 1);

  const missed = (sentMs: number): void => {
    lastMissMs = Math.max(lastMissMs, sentMs - startMs);
  };

  function settle(client: Client, sentMs: number, text: string): void {
    const tookMs = performance.now() - sentMs;
    client.sentMs = undefined;
    const status = text.slice(9, 12);
    const inTime = status === '200' && tookMs <= load.deadlineMs + GRACE_MS;
    if (!inTime) missed(sentMs);
    if (inTime) answeredMs.push(tookMs);
    else if (status === '503') {
      refusedMs.push(tookMs);
      if (!/\r\nretry-after: [1-9]/i.test(text)) refusedWithoutRetryAfter++;
    } else if (status === '200' || status === '504') late++;
    else count(status);
    if (load.reconnects === true || /\r\nconnection: close/i.test(text)) client.socket.destroy();
    else idle.push(client);
  }

  function open(): Client {
    const client: Client = {
      socket: connect({ port: Number(port), host: hostname, noDelay: true }),
      sentMs: undefined,
    };
    all.add(client);
    const readAnswer = answerReader((head) => {
      if (client.sentMs !== undefined) settle(client, client.sentMs, head);
    });
    client.socket.on('data', readAnswer);
    client.socket.on('error', () => {});
    client.socket.on('close', () => {
      all.delete(client);
      const at = idle.indexOf(client);
      if (at >= 0) idle.splice(at, 1);
      if (client.sentMs === undefined) return;
      missed(client.sentMs);
      client.sentMs = undefined;
      count('connection lost');
    });
    return client;
  }

  /** In the order of their sending: all wait for equally long. */
  const waiting: { readonly client: Client; readonly sentMs: number }[] = [];

  function send(nowMs: number): void {
    sent++;
    if (idle.length === 0 && all.size >= MAX_CONNECTIONS) {
      count('all clients wait');
      missed(nowMs);
      return;
    }
    const client = idle.pop() ?? open();
    client.sentMs = nowMs;
    if (load.impatience !== 'waits') waiting.push({ client, sentMs: nowMs });
    client.socket.write(request);
  }

  function hangUp(nowMs: number): void {
    let gone = 0;
    for (const { client, sentMs } of waiting) {
      if (nowMs - sentMs < load.deadlineMs + GRACE_MS) break;
      gone++;
      if (client.sentMs !== sentMs) continue; // answered
      client.sentMs = undefined;
      late++;
      missed(sentMs);
      client.socket.destroy();
    }
    waiting.splice(0, gone);
  }

  const total = Math.round(load.perSecond * load.seconds);
  while (sent < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startMs) * load.perSecond) / 1000));
    const nowMs = performance.now();
    while (sent < due) {
      sendLagMs.push(nowMs - startMs - ((sent + 1) * 1000) / load.perSecond);
      send(nowMs);
    }
    await afterReading(); // an answer that is here already is not late because this process is
    hangUp(nowMs);
    await pause(1);
  }
  const lastSentMs = performance.now();
  for (let waited = 0; waited < 2 * load.deadlineMs && Array.from(all).some(isBusy); waited += 5) {
    await pause(5);
    const nowMs = performance.now();
    await afterReading();
    hangUp(nowMs);
  }
  const settledMs = performance.now() - lastSentMs;
  for (const { sentMs } of all) {
    if (sentMs === undefined) continue;
    late++;
    missed(sentMs);
  }
  for (const { socket } of all) socket.removeAllListeners('close').destroy();
  return {
    sent,
    answeredMs,
    refusedMs,
    refusedWithoutRetryAfter,
    late,
    others,
    sendLagMs,
    lastMissMs,
    settledMs,
  };
}

function isBusy({ sentMs }: Client): boolean {
  return sentMs !== undefined;
}
