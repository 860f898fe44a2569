/**
 * What the main thread and a stream thread say to each other. Structured clones: plain data only.
 *
 * The main thread follows routing and the registry, and has the one disk cache and the event bus; a stream thread has
 * versions, consumers and transactions of its own, and asks the main thread for the rest.
 */
import type { Event, RoutedVersion, RoutingSnapshot } from '@assay/contracts';
import type { NewTopicOptions } from '@assay/events/kafka-records';
import type { PlainKafkaSettings } from '@assay/kafka';
import type { MetricSnapshot, ThreadError } from '@assay/runtime';
import type { InferenceConfig } from '../config.ts';
import type { PipelineState } from '../kafka/pipeline-run.ts';
import type { RunnablePipeline } from '../kafka/pipelines.ts';
import type { ProviderChoice } from '../versions/choose-provider.ts';

/** `workerData` of a thread. */
export interface StreamThreadStart {
  /** From 1, for its log lines. */
  readonly thread: number;
  readonly config: PlainConfig;
  readonly pipelines: readonly RunnablePipeline[];
  readonly kafka: PlainKafkaSettings;
  /** As it turned out at the start of the service. */
  readonly provider: ProviderChoice;
  /** Undefined where predictions are not logged. */
  readonly predictions: { readonly topics: NewTopicOptions | undefined } | undefined;
  readonly logLevel: string;
}

/** Without what is a secret: a thread has no use for it. */
export type PlainConfig = Omit<InferenceConfig, 'serviceKey' | 'eventsUrl'>;

/** Which pipelines there are; of routing their endpoints, and the versions that those name. */
export interface PushedRouting {
  readonly pipelines: readonly RunnablePipeline[];
  /** What answers now in the main thread: what to serve first. */
  readonly effective: RoutingSnapshot;
  readonly wanted: RoutingSnapshot;
}

/** What only the main thread can do. */
export type Request =
  /** Answered with the folder of the package. */
  | { readonly of: 'fetch'; readonly version: RoutedVersion }
  | { readonly of: 'discard'; readonly digest: string }
  /** Answered when the events are durable. */
  | { readonly of: 'publish'; readonly topic: string; readonly events: readonly Event[] };

export type ToStreamThread =
  | { readonly type: 'route'; readonly routing: PushedRouting }
  | { readonly type: 'answer'; readonly number: number; readonly value?: string; readonly error?: ThreadError }
  | { readonly type: 'scrape'; readonly number: number }
  | { readonly type: 'close' };

export type FromStreamThread =
  | { readonly type: 'request'; readonly number: number; readonly request: Request }
  /** Packages that are in use here. */
  | { readonly type: 'retain'; readonly digests: readonly string[] }
  | { readonly type: 'state'; readonly pipeline: string; readonly state: PipelineState }
  | { readonly type: 'metrics'; readonly number: number | 'last'; readonly metrics: readonly MetricSnapshot[] }
  /** A line of the log, as JSON. */
  | { readonly type: 'log'; readonly line: string };
