/** The batch service's tables. Times are integer milliseconds, ids and JSON are text. */
import type { JobState } from '@assay/contracts';

export interface JobsTable {
  id: string;
  idempotency_key: string | null;
  spec: string;
  base_dir: string;
  /** BatchVersion as JSON; null until the job first starts. */
  version: string | null;
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
}

export interface BatchTables {
  jobs: JobsTable;
}
