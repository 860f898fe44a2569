/** One renderer for every error that leaves by HTTP, wherever it was raised. */
import { AssayError, ERROR_KINDS, type ErrorCode } from '@assay/contracts';

/** What a renderer knows of the request that failed. */
export interface FailedRequest {
  readonly id: string;
  readonly method: string;
  /** Path and query as sent. */
  readonly url: string;
}

export interface RenderedError {
  readonly statusCode: number;
  /** Written as JSON. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** How an adapter writes errors under its prefix, where its protocol prescribes a form of its own. */
export type ErrorRenderer = (error: AssayError, request: FailedRequest) => RenderedError;

/** Assay's own form: `{"error": {code, message, details, requestId, retryable}}`. */
export const renderAssayError: ErrorRenderer = (error, request) => ({
  statusCode: error.kind.httpStatus,
  body: error.toBody(request.id),
});

/** When to come back, for errors that pass by themselves; whole seconds, since that is what the header holds. */
export function retryAfterSeconds(error: AssayError): number | undefined {
  if (error.retryAfterMs !== undefined) return Math.max(1, Math.ceil(error.retryAfterMs / 1000));
  return error.code === 'OVERLOADED' || error.code === 'RATE_LIMITED' ? 1 : undefined;
}

/** What a handler, a hook, the validator or Fastify threw, as one of the closed set. */
export function toAssayError(
  thrown: unknown,
  limits: { bodyBytes: number; contentType?: string | undefined },
): AssayError {
  if (thrown instanceof AssayError) return thrown;
  if (!(thrown instanceof Error)) return AssayError.from(thrown);
  const { code, statusCode } = thrown as Error & { code?: unknown; statusCode?: unknown }; // unknown until looked at
  const refuse = (as: ErrorCode, message: string) => new AssayError(as, message, { cause: thrown });
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return refuse('PAYLOAD_TOO_LARGE', `the body is larger than the ${limits.bodyBytes} bytes that this route takes`);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return refuse(
        'UNSUPPORTED_MEDIA_TYPE',
        limits.contentType === undefined
          ? 'the body has no Content-Type; send it with Content-Type: application/json'
          : `the content type ${JSON.stringify(limits.contentType)} is not read by this route; send application/json`,
      );
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return refuse('INVALID_ARGUMENT', 'the body is not as long as its Content-Length says');
    case 'FST_ERR_BAD_URL':
      return refuse(
        'INVALID_ARGUMENT',
        'the path is not a valid one: a percent sign must be followed by two hex digits of UTF-8',
      );
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return refuse('INVALID_ARGUMENT', 'a segment of the path is longer than any name or id of Assay');
    case 'FST_ERR_HANDLER_TIMEOUT':
      return refuse('DEADLINE_EXCEEDED', 'the answer took longer than this route allows');
    case 'ECONNRESET':
    case 'ERR_STREAM_PREMATURE_CLOSE':
      return refuse('CANCELLED', 'the caller went away before its request was complete');
    default:
  }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return refuse(codeOfStatus(statusCode), thrown.message);
  }
  return AssayError.from(thrown);
}

function codeOfStatus(statusCode: number): ErrorCode {
  if (statusCode === 409) return 'ALREADY_EXISTS';
  for (const [code, kind] of Object.entries(ERROR_KINDS)) {
    if (kind.httpStatus === statusCode) return code as ErrorCode; // the keys of ERROR_KINDS are the codes
  }
  return 'INVALID_ARGUMENT';
}
