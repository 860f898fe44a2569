/** What the main thread and the inference thread say to each other. Structured clones: plain data only. */
import { AssayError, ERROR_KINDS, type ErrorCode, type ErrorDetail, type Event } from '@assay/contracts';
import type { InferenceConfig } from '@assay/inference';
import type { KafkaSettings } from '@assay/kafka';
import { Secret } from '@assay/runtime';

/** `workerData` of the thread. */
export interface ThreadStart {
  readonly config: Omit<InferenceConfig, 'serviceKey'>;
  /** A secret does not survive the clone; it is one again on the other side. */
  readonly serviceKey: string | undefined;
  readonly kafka: ThreadKafka | undefined;
}

/** `KafkaSettings` as plain data: the password is no function and no secret on the way. */
export type ThreadKafka = Omit<KafkaSettings, 'sasl' | 'onLog'> & {
  readonly sasl?: Omit<NonNullable<KafkaSettings['sasl']>, 'password'> & { readonly password: string };
};

export function toThreadKafka({ onLog: _, sasl, ...plain }: KafkaSettings): ThreadKafka {
  return { ...plain, ...(sasl === undefined ? {} : { sasl: { ...sasl, password: sasl.password() } }) };
}

export function fromThreadKafka({ sasl, ...plain }: ThreadKafka): KafkaSettings {
  if (sasl === undefined) return plain;
  const password = new Secret(sasl.password);
  return { ...plain, sasl: { ...sasl, password: () => password.reveal() } };
}

export type ToThread =
  | { readonly type: 'close' }
  /** The events of that number are durable, or were not taken. */
  | { readonly type: 'published'; readonly number: number; readonly error?: ThreadError };

export type FromThread =
  | { readonly type: 'started'; readonly addresses: Readonly<Record<string, string>> }
  | { readonly type: 'failed'; readonly error: ThreadError }
  /** To be published on the event bus, which blocks, and so is the main thread's. */
  | { readonly type: 'publish'; readonly number: number; readonly topic: string; readonly events: readonly Event[] };

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
