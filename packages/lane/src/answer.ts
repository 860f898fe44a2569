/** An answer as the text that goes on the wire, with the headers that Node would write, in its order. */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { AssayError } from '@assay/contracts';
import type { LaneAnswer } from './interfaces.ts';

export interface AnswerContext {
  readonly requestId: string;
  /** The caller sent its id as `X-Request-Id`, and gets it back under that name too. */
  readonly echoesRequestId: boolean;
  /** Whether it is the last one of its connection: because of the request, or because the server drains. */
  readonly closes: 'no' | 'refused' | 'draining';
  readonly keepAliveSeconds: number;
}

export interface WireText {
  readonly text: string;
  readonly encoding: 'latin1' | 'utf8';
}

/** @throws AssayError INTERNAL for a header that would break out of its line */
export function writeAnswer({ statusCode, headers, text, tail }: LaneAnswer, context: AnswerContext): WireText {
  const { requestId, echoesRequestId, closes, keepAliveSeconds } = context;
  let head = `${startOf(statusCode)}${requestId}\r\n`;
  if (echoesRequestId) head += `x-request-id: ${requestId}\r\n`;
  if (closes === 'refused') head += CLOSE;
  for (const name in headers) {
    const value = headers[name] ?? '';
    if (UNSAFE.test(value)) throw new AssayError('INTERNAL', `the header ${name} holds what no header may hold`);
    head += `${name}: ${value}\r\n`;
  }
  const textBytes = Buffer.byteLength(text);
  const sizeBytes = textBytes + (tail?.length ?? 0);
  if (closes === 'draining') head += CLOSE;
  head += `content-length: ${sizeBytes}${endOf(closes === 'no' ? keepAliveSeconds : undefined)}`;
  // As many bytes as characters: ASCII, which is written faster as Latin-1.
  return { text: head + text, encoding: textBytes === text.length ? 'latin1' : 'utf8' };
}

/** Bytes behind a text that are cheaper to copy than to write by themselves. */
const SHORT_TAIL_BYTES = 8192;

/** @returns whether there is room for more; else `drain` follows */
export function sendAnswer(socket: Socket, { text, encoding }: WireText, tail: Buffer | undefined): boolean {
  if (tail === undefined) return socket.write(text, encoding);
  if (tail.length <= SHORT_TAIL_BYTES) return socket.write(Buffer.concat([Buffer.from(text, encoding), tail]));
  socket.cork();
  socket.write(text, encoding);
  const isRoom = socket.write(tail);
  socket.uncork();
  return isRoom;
}

const CLOSE = 'connection: close\r\n';
const UNSAFE = /[^\t\x20-\x7e]/;

const starts = new Map<number, string>();

/** What a head begins with, up to the request's id. */
function startOf(statusCode: number): string {
  let start = starts.get(statusCode);
  if (start === undefined) {
    start = `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? 'Unknown'}\r\nassay-request-id: `;
    starts.set(statusCode, start);
  }
  return start;
}

let endsSecond = 0;
const ends = new Map<number | undefined, string>();

/** What a head ends with behind its length, which is the same for a second. @param keepAliveSeconds undefined: it closes */
function endOf(keepAliveSeconds: number | undefined): string {
  const nowMs = Date.now();
  const second = Math.floor(nowMs / 1000);
  if (second !== endsSecond) {
    endsSecond = second;
    ends.clear();
  }
  let end = ends.get(keepAliveSeconds);
  if (end === undefined) {
    const keepAlive =
      keepAliveSeconds === undefined ? '' : `Connection: keep-alive\r\nKeep-Alive: timeout=${keepAliveSeconds}\r\n`;
    end = `\r\nDate: ${new Date(nowMs).toUTCString()}\r\n${keepAlive}\r\n`;
    ends.set(keepAliveSeconds, end);
  }
  return end;
}
