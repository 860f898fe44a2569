/**
 * Stopping without failing a request: readiness off → keep accepting for the drain delay, in which load balancers learn
 * of it → each answer ends its connection → wait for what is in flight → close.
 */
import { Server as NetServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { App } from './app.ts';
import { type AppState, stateOf } from './state.ts';

export interface DrainOptions {
  /** How long to go on as before, but not ready; the time that load balancers need to see it. 0 where there are none. */
  readonly drainDelayMs: number;
  /** How long requests in flight may take after that; then they are cut off. */
  readonly closeTimeoutMs: number;
  /** Aborted: skip the delay and cut off what is left. */
  readonly signal?: AbortSignal;
}

/**
 * A keep-alive connection is closed after nothing happened on it for this many looks: a request that is on its way
 * arrives before. Looks and not time, since after a pause of this thread what arrived meanwhile is not read yet.
 */
const QUIET_LOOKS = 10;
const POLL_MS = 20;

/** @returns how many requests had to be cut off */
export async function drainAndClose(app: App, options: DrainOptions): Promise<{ cutOff: number }> {
  const { signal } = options;
  const state = stateOf(app.server);
  if (state.phase === 'serving') state.phase = 'draining';
  await sleep(options.drainDelayMs, signal);
  state.phase = 'closing';

  // http.Server#close would also close idle connections at once, and with them a request that is just arriving;
  // this stops listening and leaves the connections to the loop below. Its error (not listening) is of no interest.
  if (app.server.listening) NetServer.prototype.close.call(app.server);

  const closeAtMs = performance.now() + options.closeTimeoutMs;
  while (state.connections.size > 0 && performance.now() < closeAtMs && signal?.aborted !== true) {
    closeQuiet(state);
    await sleep(POLL_MS, signal);
  }
  const cutOff = state.inFlight;
  for (const socket of state.connections.keys()) socket.destroy();
  await app.close();
  return { cutOff };
}

function closeQuiet(state: AppState): void {
  for (const [socket, connection] of state.connections) {
    if (connection.inFlight > 0 || socket.bytesRead !== connection.bytesSeen) {
      connection.bytesSeen = socket.bytesRead; // a head is arriving, or a request came and was answered
      connection.quietLooks = 0;
    } else if (++connection.quietLooks >= QUIET_LOOKS) socket.destroy();
  }
}

async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (ms <= 0 || signal?.aborted === true) return;
  await delay(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {}); // aborted: go on at once
}
