/**
 * Errors as MLflow's clients know them: `{"error_code", "message"}`.
 * https://github.com/mlflow/mlflow/blob/master/mlflow/exceptions.py
 */
import { AssayError, type ErrorCode, type ErrorDetail } from '@assay/contracts';
import type { ErrorRenderer } from '@assay/http';
import { GatesNotMet } from '../domain/gate-rules.ts';

interface Rendered {
  readonly errorCode: string;
  readonly statusCode: number;
}

const BY_CODE: Readonly<Record<ErrorCode, Rendered>> = {
  INVALID_ARGUMENT: { errorCode: 'INVALID_PARAMETER_VALUE', statusCode: 400 },
  UNAUTHENTICATED: { errorCode: 'UNAUTHENTICATED', statusCode: 401 },
  PERMISSION_DENIED: { errorCode: 'PERMISSION_DENIED', statusCode: 403 },
  NOT_FOUND: { errorCode: 'RESOURCE_DOES_NOT_EXIST', statusCode: 404 },
  METHOD_NOT_ALLOWED: { errorCode: 'ENDPOINT_NOT_FOUND', statusCode: 404 },
  REQUEST_TIMEOUT: { errorCode: 'BAD_REQUEST', statusCode: 408 },
  ALREADY_EXISTS: { errorCode: 'RESOURCE_ALREADY_EXISTS', statusCode: 400 },
  STALE_REVISION: { errorCode: 'RESOURCE_CONFLICT', statusCode: 409 },
  FAILED_PRECONDITION: { errorCode: 'BAD_REQUEST', statusCode: 400 },
  PAYLOAD_TOO_LARGE: { errorCode: 'INVALID_PARAMETER_VALUE', statusCode: 413 },
  UNSUPPORTED_MEDIA_TYPE: { errorCode: 'BAD_REQUEST', statusCode: 415 },
  RANGE_NOT_SATISFIABLE: { errorCode: 'INVALID_PARAMETER_VALUE', statusCode: 416 },
  UNPROCESSABLE_MODEL: { errorCode: 'INVALID_PARAMETER_VALUE', statusCode: 422 },
  HEADERS_TOO_LARGE: { errorCode: 'BAD_REQUEST', statusCode: 431 },
  RATE_LIMITED: { errorCode: 'REQUEST_LIMIT_EXCEEDED', statusCode: 429 },
  CANCELLED: { errorCode: 'CANCELLED', statusCode: 499 },
  INTERNAL: { errorCode: 'INTERNAL_ERROR', statusCode: 500 },
  UNIMPLEMENTED: { errorCode: 'NOT_IMPLEMENTED', statusCode: 501 },
  OVERLOADED: { errorCode: 'TEMPORARILY_UNAVAILABLE', statusCode: 503 },
  UNAVAILABLE: { errorCode: 'TEMPORARILY_UNAVAILABLE', statusCode: 503 },
  DEADLINE_EXCEEDED: { errorCode: 'DEADLINE_EXCEEDED', statusCode: 504 },
};

/** A route that MLflow's newer servers have and this one has not: its clients then do without. */
export class UnknownMlflowRoute extends AssayError {
  constructor(method: string, path: string) {
    super('NOT_FOUND', `${method} ${path}: this part of MLflow's API is not spoken here`);
  }
}

export const renderMlflowError: ErrorRenderer = (error, request) => {
  const { errorCode, statusCode } = BY_CODE[error.code];
  if (error instanceof GatesNotMet) {
    // This protocol has no place for details.
    const gates = error.details.map(({ place, message, expected }) => `${place}: required: ${expected}; ${message}`);
    return {
      statusCode: 403,
      body: { error_code: 'PERMISSION_DENIED', message: [error.message, ...gates].join('\n') },
    };
  }
  // Of our own mistakes the caller learns the id under which the log tells them.
  const message = error.code === 'INTERNAL' ? `${error.message} (request ${request.id})` : error.message;
  return {
    statusCode,
    body: { error_code: error instanceof UnknownMlflowRoute ? 'ENDPOINT_NOT_FOUND' : errorCode, message },
  };
};

/** One value of a request is wrong. */
export function invalid(place: string, message: string, expected?: string): AssayError {
  const detail: ErrorDetail = { place, message, ...(expected === undefined ? {} : { expected }) };
  return new AssayError(
    'INVALID_ARGUMENT',
    `${place}: ${message}${expected === undefined ? '' : `; expected ${expected}`}`,
    {
      details: [detail],
    },
  );
}

export function missing(what: string): AssayError {
  return new AssayError('NOT_FOUND', what);
}
