/** What went wrong with a call, as an AssayError, and whether the server may have acted on it. */
import { AssayError, ERROR_CODES, ERROR_KINDS, ErrorBody, type ErrorCode, matches, tolerant } from '@assay/contracts';
import Type from 'typebox';

export interface Failure {
  readonly error: AssayError;
  /** False where the call certainly had no effect: it never left, or was turned away before any work. */
  readonly mayHaveActed: boolean;
}

/** Codes of Node and undici that arise before a byte of the request is sent. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** A failure without an answer: the connection was refused, cut, or spoke something else than HTTP. */
export function connectionFailure(peer: string, thrown: unknown): Failure {
  if (thrown instanceof AssayError) return { error: thrown, mayHaveActed: true };
  const cause = innermost(thrown);
  const code = codeOf(cause) ?? codeOf(thrown);
  const error = new AssayError('UNAVAILABLE', `${peer} ${explainCode(code, cause)}`, { cause: thrown });
  return { error, mayHaveActed: code === undefined || !NEVER_SENT.has(code) };
}

function explainCode(code: string | undefined, cause: unknown): string {
  switch (code) {
    case 'ECONNREFUSED':
      return 'does not accept connections (ECONNREFUSED); is it running, and is this its address?';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `cannot be found (${code}); check the host name`;
    case 'UND_ERR_CONNECT_TIMEOUT':
      return 'did not accept the connection in time';
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return 'stopped answering in the middle of a call';
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
      return 'closed the connection before it had answered';
    default:
      if (cause instanceof Error && cause.name === 'HTTPParserError')
        return 'answered something that is not HTTP; is this the right port?';
      return `cannot be reached (${cause instanceof Error ? cause.message || code : String(cause)})`;
  }
}

/** undici and Node wrap what happened on the socket, sometimes in an AggregateError of one error an address. */
function innermost(thrown: unknown): unknown {
  let current = thrown;
  for (let depth = 0; depth < 5; depth++) {
    if (current instanceof AggregateError && current.errors.length > 0) current = current.errors[0];
    else if (current instanceof Error && current.cause instanceof Error) current = current.cause;
    else break;
  }
  return current;
}

function codeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

/** Like ErrorBody, from a server that may know codes which this client does not. */
const AnyErrorBody = Type.Object({
  error: Type.Object({ code: Type.String(), message: Type.String(), requestId: Type.Optional(Type.String()) }),
});
const TolerantErrorBody = tolerant(ErrorBody);

/** A failure with an answer: `status` is not 2xx. */
export function answerFailure(
  peer: string,
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  text: string,
): Failure {
  const body = parsed(text);
  const retryAfterMs = readRetryAfter(headers['retry-after']);
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
  if (matches(TolerantErrorBody, body)) {
    const { code, message, details, currentRevision, requestId } = body.error;
    const error = new AssayError(code, code === 'INTERNAL' ? `${message} (${peer}, request ${requestId})` : message, {
      details,
      ...retry,
      ...(currentRevision === undefined ? {} : { currentRevision }),
    });
    // Load is shed, and limits are applied, before anything is done.
    return { error, mayHaveActed: code !== 'OVERLOADED' && code !== 'RATE_LIMITED' };
  }
  if (matches(AnyErrorBody, body)) {
    return { error: new AssayError(codeOfStatus(status), body.error.message, retry), mayHaveActed: true };
  }
  const said = text.trim() === '' ? 'without a body' : `"${shorten(text)}"`;
  const message = `${peer} answered ${status}, ${said}, which is not an answer of Assay; is this its address?`;
  return { error: new AssayError(codeOfStatus(status), message, retry), mayHaveActed: true };
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 502 || status === 503) return 'UNAVAILABLE';
  const code = ERROR_CODES.find((candidate) => ERROR_KINDS[candidate].httpStatus === status);
  if (code !== undefined) return code;
  return status >= 500 ? 'UNAVAILABLE' : 'FAILED_PRECONDITION';
}

/** `Retry-After`: seconds, or an HTTP date (RFC 9110, 10.2.3). At most an hour is believed. */
export function readRetryAfter(header: string | string[] | undefined, nowMs = Date.now()): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return undefined;
  let delayMs = Number.NaN;
  if (/^\d+(\.\d+)?$/.test(text)) delayMs = Number(text) * 1000;
  else if (/^[A-Z][a-z]{2}, /.test(text)) delayMs = Date.parse(text) - nowMs;
  if (!Number.isFinite(delayMs)) return undefined;
  return Math.min(3_600_000, Math.max(0, delayMs));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function shorten(text: string): string {
  const line = text.trim().replaceAll(/\s+/g, ' ');
  return line.length > 120 ? `${line.slice(0, 117)}…` : line;
}
