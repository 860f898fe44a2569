/** What the routes work with. They get a function that gives it, so that the API can be described without opening anything. */
import type { BatchJob } from '@assay/contracts';
import type { BatchConfig } from '../config.ts';
import type { JobWatch } from '../domain/job-watch.ts';
import type { BatchMetrics } from '../metrics.ts';
import type { Jobs } from '../store/jobs.ts';

export interface Parts {
  readonly config: BatchConfig;
  readonly jobs: Jobs;
  readonly watch: JobWatch;
  readonly metrics: BatchMetrics;
  /** The job is to stop; gives it as it is recorded. */
  cancel(id: string): Promise<BatchJob>;
  /** What all attempts of a job wrote; with `follow` until it has ended. */
  logs(id: string, options: { readonly follow: boolean; readonly signal: AbortSignal }): AsyncIterable<Uint8Array>;
}

export type PartsOf = () => Parts;
