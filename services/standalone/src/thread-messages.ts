/** What the main thread and the inference thread say to each other. Structured clones: plain data only. */
import type { Event } from '@assay/contracts';
import type { InferenceConfig } from '@assay/inference';
import type { PlainKafkaSettings } from '@assay/kafka';
import type { ThreadError } from '@assay/runtime';

/** `workerData` of the thread. */
export interface ThreadStart {
  readonly config: Omit<InferenceConfig, 'serviceKey'>;
  /** A secret does not survive the clone; it is one again on the other side. */
  readonly serviceKey: string | undefined;
  readonly kafka: PlainKafkaSettings | undefined;
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
