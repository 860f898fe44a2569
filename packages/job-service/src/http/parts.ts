/** What the routes work with. They get a function that gives it, so that the API can be described without opening anything. */
import type { RegistryClient } from '@assay/client';
import type { Acting, EventBus } from '@assay/events';
import type { JobWatch } from '../job-watch.ts';
import type { JobObserver, JobOf, JobTypes } from '../kind.ts';
import type { Checkpoints } from '../store/checkpoints.ts';
import type { Jobs } from '../store/jobs.ts';

export interface Parts<T extends JobTypes> {
  readonly config: T['config'];
  readonly jobs: Jobs<T>;
  readonly checkpoints: Checkpoints;
  readonly bus: EventBus;
  /** With the key of the service. */
  readonly registry: RegistryClient;
  readonly watch: JobWatch;
  readonly observer: JobObserver<T>;
  /** The job is to stop; gives it as it is recorded. */
  cancel(id: string, acting: Acting): Promise<JobOf<T>>;
  /** What all attempts of a job wrote; with `follow` until it has ended. */
  logs(id: string, options: { readonly follow: boolean; readonly signal: AbortSignal }): AsyncIterable<Uint8Array>;
}

export type PartsOf<T extends JobTypes> = () => Parts<T>;
