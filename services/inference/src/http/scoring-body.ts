/** How the scoring routes take their requests and give their answers: as bytes, with nothing lost on the way. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { decodeContent } from './content-coding.ts';

/** What scoring reads of a request's head. */
export interface ScoringHead {
  readonly headers: IncomingHttpHeaders;
  readonly socket: Socket;
  /** Nobody else can come in this turn of the event loop. */
  readonly isAlone?: boolean;
}

/** What scoring uses of a request, Fastify's or the lane's. */
export interface ScoringRequest {
  readonly raw: ScoringHead;
  readonly body: unknown;
  /** By the router: of the path. */
  readonly params: unknown;
}

/** A request that was scored. */
export interface ScoringAnswer {
  readonly statusCode: 200;
  readonly text: string;
  /** Bytes behind the text. */
  readonly tail?: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * The bytes of a scoring request, decoded. A promise only where there is something to decode.
 * @throws UNSUPPORTED_MEDIA_TYPE, INVALID_ARGUMENT, PAYLOAD_TOO_LARGE for more than `limitBytes` once decoded
 */
export function bodyBytes(request: ScoringRequest, limitBytes: number): Buffer | Promise<Buffer> {
  const body = Buffer.isBuffer(request.body) ? request.body : EMPTY; // no body at all is null
  const encoding = request.raw.headers['content-encoding'];
  return encoding === undefined || encoding === 'identity' ? body : decodeContent(body, encoding, limitBytes);
}

const EMPTY = Buffer.alloc(0);
