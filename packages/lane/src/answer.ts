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
  let head = `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? 'Unknown'}\r\nassay-request-id: ${requestId}\r\n`;
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
  head +=
    closes !== 'no'
      ? `content-length: ${sizeBytes}\r\nDate: ${httpDate()}\r\n\r\n`
      : `content-length: ${sizeBytes}\r\nDate: ${httpDate()}\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${keepAliveSeconds}\r\n\r\n`;
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

let dateSecond = 0;
let dateText = '';

function httpDate(): string {
  const nowMs = Date.now();
  const second = Math.floor(nowMs / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(nowMs).toUTCString();
  }
  return dateText;
}
