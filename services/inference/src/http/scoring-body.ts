/** How the scoring routes take their bodies: as bytes, checked for nothing but how they are encoded. */
import type { IncomingMessage } from 'node:http';
import { AssayError } from '@assay/contracts';

/** What the scoring routes use of Fastify's request. */
export interface ScoringRequest {
  readonly raw: IncomingMessage;
  readonly body: unknown;
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
