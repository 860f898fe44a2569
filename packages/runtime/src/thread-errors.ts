/** Errors on their way between threads: a structured clone keeps no class. */
import { AssayError, ERROR_KINDS, type ErrorCode, type ErrorDetail } from '@assay/contracts';

export interface ThreadError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: readonly ErrorDetail[];
}

export function toThreadError(thrown: unknown): ThreadError {
  const { code, details, message } = AssayError.from(thrown);
  // Within the process a bug may say what it was.
  return { code, details, message: code === 'INTERNAL' && thrown instanceof Error ? thrown.message : message };
}

export function fromThreadError({ code, message, details }: ThreadError): AssayError {
  return new AssayError(code in ERROR_KINDS ? code : 'INTERNAL', message, { details });
}
