/** What every scoring door reads from a request besides its body. */
import { isUtf8 } from 'node:buffer';
import { setMaxListeners } from 'node:events';
import type { Socket } from 'node:net';
import { AssayError, type Door } from '@assay/contracts';
import { parseTimeoutMs, TIMEOUT_HEADER } from '@assay/runtime';
import type { ScoreOptions } from '../domain/dataplane.ts';
import type { ScoringHead } from './scoring-body.ts';

export const ROUTING_KEY_HEADER = 'assay-routing-key';
const MAX_ROUTING_KEY_LENGTH = 1024;

/**
 * Deadline, routing key and whether the caller is still there.
 * @param receivedAtMs when the whole request had arrived; its deadline counts from then
 * @throws INVALID_ARGUMENT for a header that is wrong
 */
export function readCaller(
  request: ScoringHead,
  door: Door,
  receivedAtMs: number,
  { version, sizeBytes, explained }: Pick<ScoreOptions, 'version' | 'sizeBytes' | 'explained'> = {},
): ScoreOptions {
  const { headers } = request;
  const timeout = headers[TIMEOUT_HEADER];
  const key = headers[ROUTING_KEY_HEADER];
  return {
    door,
    receivedAtMs,
    timeoutMs: timeout === undefined ? undefined : parseTimeoutMs(timeout, 0),
    key: key === undefined ? undefined : readRoutingKey(key),
    version,
    sizeBytes,
    signal: connectionSignal(request.socket),
    isAlone: request.isAlone,
    explained,
  };
}

/** @throws INVALID_ARGUMENT */
export function readRoutingKey(header: string | string[]): string {
  if (typeof header === 'string' && header.length > 0 && header.length <= MAX_ROUTING_KEY_LENGTH) {
    if (ASCII.test(header)) return header;
    // Node reads header bytes as Latin-1; a key is UTF-8, so that it routes alike by every door.
    const bytes = Buffer.from(header, 'latin1');
    if (isUtf8(bytes)) return bytes.toString('utf8');
  }
  const expected = `1 to ${MAX_ROUTING_KEY_LENGTH} bytes of UTF-8`;
  throw new AssayError('INVALID_ARGUMENT', `header Assay-Routing-Key: expected ${expected}`, {
    details: [{ place: 'header Assay-Routing-Key', message: 'is empty, too long or not UTF-8', expected }],
  });
}

const ASCII = /^[\x20-\x7e]*$/;

/**
 * Aborted when the connection closes. One a connection and not one a request: a caller that hangs up drops all that it
 * asked for on it, and a request pays nothing.
 */
function connectionSignal(socket: Socket): AbortSignal {
  let signal = signals.get(socket);
  if (signal === undefined) {
    const controller = new AbortController();
    signal = controller.signal;
    setMaxListeners(0, signal);
    signals.set(socket, signal);
    socket.once('close', () => controller.abort());
  }
  return signal;
}
const signals = new WeakMap<Socket, AbortSignal>();
