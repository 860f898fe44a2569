/** How the scoring routes take their requests: bodies as bytes, checked for nothing but how they are encoded. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { AssayError } from '@assay/contracts';

/** What scoring reads of a request's head. */
export interface ScoringHead {
  readonly headers: IncomingHttpHeaders;
  readonly socket: Socket;
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
  /** JSON. */
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The bytes of a scoring request. @throws UNSUPPORTED_MEDIA_TYPE */
export function bodyBytes(request: ScoringRequest): Buffer {
  const { headers } = request.raw;
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new AssayError(
      'UNSUPPORTED_MEDIA_TYPE',
      `the content encoding ${JSON.stringify(encoding)} is not read by this route; send the body as it is`,
    );
  }
  return Buffer.isBuffer(request.body) ? request.body : EMPTY; // no body at all is null
}

const EMPTY = Buffer.alloc(0);
