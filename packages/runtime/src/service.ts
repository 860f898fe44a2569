/** A service's life, and what it says of itself without being run. */
import type { ConfigRow } from './config.ts';
import type { MetricRow } from './metrics.ts';

/**
 * `start` listens and returns when the service can be called; `close` drains and returns when nothing of it is left.
 * Both are called once, `close` also after a `start` that failed.
 */
export interface Service {
  readonly name: string;
  /** By door, once started: `{ http: 'http://127.0.0.1:8101' }`. */
  readonly addresses: Readonly<Record<string, string>>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** What `describe()` of a service gives, without I/O: the reference documentation is made from it. */
export interface ServiceDescription {
  readonly name: string;
  readonly config: readonly ConfigRow[];
  readonly metrics: readonly MetricRow[];
  /** The OpenAPI 3.1 document, as JSON. */
  openapi(): Promise<Readonly<Record<string, unknown>>>;
}
