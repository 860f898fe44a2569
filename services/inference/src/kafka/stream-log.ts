/** What streams need of a log of predictions. */
import type { Admin, OutputRecord } from '@assay/kafka';
import type { Scored } from '../domain/dataplane.ts';

/** A prediction as the log wants it. */
export interface StreamPrediction {
  readonly id: string;
  readonly atMs: number;
  /** The record as it was asked. */
  features(): unknown;
  /** All rows that were scored with it, in their order. */
  readonly scored: Scored;
  /** Its own among them. */
  readonly row: number;
  readonly sizeBytes: number;
  /** As it came with the record. */
  readonly traceparent: unknown;
}

/** What is logged of a chunk. */
export interface DrawnPredictions {
  /** For its transaction. */
  readonly records: readonly OutputRecord[];
  /** To be called once that is committed, and only then. */
  committed(): void;
}

export interface StreamLog {
  /** Where the records of a transaction go. */
  readonly topics: readonly string[];
  /** Makes those topics, unless they are there. */
  prepare(admin: Admin, signal: AbortSignal): Promise<void>;
  /** Quick, and never throws. */
  draw(endpoint: string, predictions: readonly StreamPrediction[]): DrawnPredictions;
}
