/** An error as a gRPC status: trailers of the call. */
import { AssayError, type ErrorCode } from '@assay/contracts';

export type Trailers = Readonly<Record<string, string>>;

export const OK_TRAILERS: Trailers = { 'grpc-status': '0' };
/** Percent-encoded it is below the 8 KiB of trailers that clients take; what is cut off is the tail of an explanation. */
const MAX_MESSAGE_LENGTH = 800;

/**
 * Where the protocol wants another status than the table has for the code, which says whose fault it is and is what is
 * counted.
 */
export class ProtocolError extends AssayError {
  readonly grpcStatus: number;

  constructor(grpcStatus: number, code: ErrorCode, message: string) {
    super(code, message);
    this.grpcStatus = grpcStatus;
  }
}

/**
 * `grpc-status` and `grpc-message`; `assay-error-code`, since several codes of ours are one of gRPC's; and, where it is
 * known, `grpc-retry-pushback-ms`, which gRPC's own retries go by (gRFC A6).
 */
export function errorTrailers(error: AssayError): Trailers {
  const { code, kind, message, retryAfterMs } = error;
  return {
    'grpc-status': String(error instanceof ProtocolError ? error.grpcStatus : kind.grpcStatus),
    'grpc-message': encodeMessage(message),
    'assay-error-code': code,
    ...(retryAfterMs === undefined ? {} : { 'grpc-retry-pushback-ms': String(Math.ceil(retryAfterMs)) }),
  };
}

/** Percent-encoded UTF-8, as `grpc-message` is: everything but printable ASCII without the percent sign itself. */
export function encodeMessage(message: string): string {
  const cut = message.length > MAX_MESSAGE_LENGTH ? `${message.slice(0, MAX_MESSAGE_LENGTH)}…` : message;
  return cut
    .toWellFormed()
    .replace(/[^\x20-\x24\x26-\x7e]+/g, (characters) =>
      Array.from(Buffer.from(characters), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
    );
}
