/** What the main thread and the inference thread say to each other. Structured clones: plain data only. */
import { AssayError, ERROR_KINDS, type ErrorCode, type ErrorDetail } from '@assay/contracts';
import type { InferenceConfig } from '@assay/inference';

/** `workerData` of the thread. */
export interface ThreadStart {
  readonly config: InferenceConfig;
}

export type ToThread = { readonly type: 'close' };

export type FromThread =
  | { readonly type: 'started'; readonly addresses: Readonly<Record<string, string>> }
  | { readonly type: 'failed'; readonly error: ThreadError };

export interface ThreadError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: readonly ErrorDetail[];
}

/** An error class does not survive the clone. */
export function toThreadError(thrown: unknown): ThreadError {
  const { code, details, message } = AssayError.from(thrown);
  // Within the process a bug may say what it was.
  return { code, details, message: code === 'INTERNAL' && thrown instanceof Error ? thrown.message : message };
}

export function fromThreadError({ code, message, details }: ThreadError): AssayError {
  return new AssayError(code in ERROR_KINDS ? code : 'INTERNAL', message, { details });
}
