/** The tables of a service of jobs. Times are integer milliseconds, ids and JSON are text. */
import type { JobState } from '@assay/contracts';

export interface JobsTable {
  id: string;
  idempotency_key: string | null;
  /** BatchVersion as JSON; null until the job first starts. In the tables of batch only. */
  version?: string | null;
  spec: string;
  base_dir: string;
  state: JobState;
  attempts: number;
  /** 0 or 1. */
  cancel_requested: number;
  failure: string | null;
  progress: string | null;
  result: string | null;
  /** What the running attempt itself said went wrong. */
  reported_failure: string | null;
  /** Of the token of the running attempt. */
  token_sha256: string | null;
  /** Grows with every change. */
  revision: number;
  /** Grows with every change of state: progress does not get in the way of what the runner has read. */
  lifecycle_revision: number;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  /** DatasetReference as JSON; null until the job first starts, and for ever where its spec names none. */
  dataset: string | null;
  /** SpecReference as JSON; null where the spec came with the request. */
  spec_source: string | null;
  /** W3C trace context of what made it: for its events, its attempts and their calls. */
  traceparent: string | null;
  tracestate: string | null;
}

/** What is resolved when a job first starts, under the names that the job shows it by. */
export type ResolvedColumn = 'version' | 'dataset';

export interface CheckpointsTable {
  job_id: string;
  /** From 0 on. */
  number: number;
  /** JSON. */
  entry: string;
}

export interface JobTables {
  jobs: JobsTable;
  /** Of kinds whose jobs write down how far they are. */
  job_checkpoints: CheckpointsTable;
}
