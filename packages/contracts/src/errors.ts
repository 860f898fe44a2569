/**
 * The closed set of errors. Every failure that leaves a process, by whatever door, is one of these codes;
 * adapters only choose how to write it down (HTTP status, gRPC status, OIP body, MLflow body, exit code).
 */
import Type from 'typebox';

/** What a code means to each door, and whether the same call may succeed when it is made again. */
export interface ErrorKind {
  readonly httpStatus: number;
  /** https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
  readonly grpcStatus: number;
  readonly retryable: boolean;
  readonly description: string;
}

export const ERROR_KINDS = {
  INVALID_ARGUMENT: {
    httpStatus: 400,
    grpcStatus: 3,
    retryable: false,
    description: 'The request, record, spec or file is wrong; `details` names each place and what was expected.',
  },
  UNAUTHENTICATED: {
    httpStatus: 401,
    grpcStatus: 16,
    retryable: false,
    description: 'No API key was sent, or it is unknown or revoked.',
  },
  PERMISSION_DENIED: {
    httpStatus: 403,
    grpcStatus: 7,
    retryable: false,
    description: 'The key is valid and its scopes do not permit this.',
  },
  NOT_FOUND: {
    httpStatus: 404,
    grpcStatus: 5,
    retryable: false,
    description: 'The named resource, or the route, does not exist.',
  },
  METHOD_NOT_ALLOWED: {
    httpStatus: 405,
    grpcStatus: 12,
    retryable: false,
    description: 'The route exists, but not with this method.',
  },
  REQUEST_TIMEOUT: {
    httpStatus: 408,
    grpcStatus: 4,
    retryable: true,
    description: 'The client did not send its request in time.',
  },
  ALREADY_EXISTS: {
    httpStatus: 409,
    grpcStatus: 6,
    retryable: false,
    description: 'A resource of that name exists.',
  },
  STALE_REVISION: {
    httpStatus: 409,
    grpcStatus: 10,
    retryable: false,
    description:
      'The resource moved since it was read; `details` carries its current revision. Read it and decide anew.',
  },
  FAILED_PRECONDITION: {
    httpStatus: 412,
    grpcStatus: 9,
    retryable: false,
    description: 'The system is not in the state that this call needs; the message says which.',
  },
  PAYLOAD_TOO_LARGE: {
    httpStatus: 413,
    grpcStatus: 8,
    retryable: false,
    description: 'The body or the number of records is over the limit, which the message names.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    httpStatus: 415,
    grpcStatus: 3,
    retryable: false,
    description: 'The content type or encoding is not one that this route reads.',
  },
  RANGE_NOT_SATISFIABLE: {
    httpStatus: 416,
    grpcStatus: 11,
    retryable: false,
    description:
      'The range of bytes that was asked for begins past the end; `Content-Range` says how long the file is.',
  },
  UNPROCESSABLE_MODEL: {
    httpStatus: 422,
    grpcStatus: 9,
    retryable: false,
    description:
      'A package was refused: it does not load, its files do not match, or its golden records do not reproduce.',
  },
  HEADERS_TOO_LARGE: {
    httpStatus: 431,
    grpcStatus: 8,
    retryable: false,
    description: 'The request headers are over the limit.',
  },
  RATE_LIMITED: {
    httpStatus: 429,
    grpcStatus: 8,
    retryable: true,
    description: "The caller's own limit is reached; `Retry-After` says when to come back.",
  },
  CANCELLED: {
    httpStatus: 499,
    grpcStatus: 1,
    retryable: false,
    description: 'The caller went away, or cancelled, before there was an answer.',
  },
  INTERNAL: {
    httpStatus: 500,
    grpcStatus: 13,
    retryable: false,
    description: 'A bug in Assay. The request id finds it in the log.',
  },
  UNIMPLEMENTED: {
    httpStatus: 501,
    grpcStatus: 12,
    retryable: false,
    description: 'A part of a protocol that Assay does not speak; the documentation says why.',
  },
  OVERLOADED: {
    httpStatus: 503,
    grpcStatus: 14,
    retryable: true,
    description: 'The server sheds load; `Retry-After` says when to come back.',
  },
  UNAVAILABLE: {
    httpStatus: 503,
    grpcStatus: 14,
    retryable: true,
    description: 'A part that this call needs cannot be reached now, or the process is stopping.',
  },
  DEADLINE_EXCEEDED: {
    httpStatus: 504,
    grpcStatus: 4,
    retryable: true,
    description: 'The deadline passed before there was an answer.',
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;

export const ERROR_CODES = Object.keys(ERROR_KINDS) as readonly ErrorCode[]; // keys of a constant object are its literal keys

/** One thing that is wrong, and where. */
export const ErrorDetail = Type.Object(
  {
    place: Type.String({ description: 'Where, as a reader would write it: `records[0].distance`, `spec.yaml:12`.' }),
    message: Type.String({ description: 'What is wrong there.' }),
    expected: Type.Optional(Type.String({ description: 'What would be right.' })),
  },
  { $id: 'ErrorDetail', description: 'One thing that is wrong, and where.' },
);
export type ErrorDetail = Type.Static<typeof ErrorDetail>;

export const ErrorBody = Type.Object(
  {
    error: Type.Object({
      code: Type.Enum(ERROR_CODES as ErrorCode[], { description: 'One of the closed set of codes.' }),
      message: Type.String({ description: 'What was wrong, where, what was expected and what to do.' }),
      details: Type.Array(ErrorDetail),
      currentRevision: Type.Optional(Type.Integer({ description: 'With STALE_REVISION: the revision it has now.' })),
      requestId: Type.String({ description: 'Finds this request in the log.' }),
      retryable: Type.Boolean({ description: 'Whether the same call may succeed later.' }),
    }),
  },
  { $id: 'Error', description: 'Every error of every Assay route.' },
);
export type ErrorBody = Type.Static<typeof ErrorBody>;

export interface AssayErrorOptions {
  readonly details?: readonly ErrorDetail[];
  readonly cause?: unknown;
  /** With OVERLOADED and RATE_LIMITED: when a new try makes sense. */
  readonly retryAfterMs?: number;
  /** With STALE_REVISION: the revision that the resource has now. */
  readonly currentRevision?: number;
}

/** Under overload there are thousands a second, and a stack would cost more than all the rest of a refusal. */
const WITHOUT_STACK: ReadonlySet<ErrorCode> = new Set(['OVERLOADED', 'RATE_LIMITED']);

/** The one error class. `message` is written for the caller; `cause` is for the log and never leaves the process. */
export class AssayError extends Error {
  readonly code: ErrorCode;
  readonly details: readonly ErrorDetail[];
  readonly retryAfterMs: number | undefined;
  readonly currentRevision: number | undefined;

  constructor(code: ErrorCode, message: string, options: AssayErrorOptions = {}) {
    const { stackTraceLimit } = Error;
    if (WITHOUT_STACK.has(code)) Error.stackTraceLimit = 0;
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'AssayError';
    this.code = code;
    this.details = options.details ?? [];
    this.retryAfterMs = options.retryAfterMs;
    this.currentRevision = options.currentRevision;
  }

  get kind(): ErrorKind {
    return ERROR_KINDS[this.code];
  }

  get retryable(): boolean {
    return this.kind.retryable;
  }

  /**
   * What was thrown, as an AssayError. An abort becomes CANCELLED, a time-out DEADLINE_EXCEEDED; anything else is a bug
   * and becomes INTERNAL with a message that gives nothing away, the original kept as the cause.
   */
  static from(thrown: unknown): AssayError {
    if (thrown instanceof AssayError) return thrown;
    if (thrown instanceof Error) {
      if (thrown.name === 'TimeoutError') {
        return new AssayError('DEADLINE_EXCEEDED', 'the deadline passed before there was an answer', { cause: thrown });
      }
      if (thrown.name === 'AbortError') return new AssayError('CANCELLED', 'the call was cancelled', { cause: thrown });
    }
    return new AssayError('INTERNAL', 'internal error; the request id finds it in the log', { cause: thrown });
  }

  toBody(requestId: string): ErrorBody {
    return {
      error: {
        code: this.code,
        message: this.message,
        details: [...this.details],
        ...(this.currentRevision === undefined ? {} : { currentRevision: this.currentRevision }),
        requestId,
        retryable: this.retryable,
      },
    };
  }
}
