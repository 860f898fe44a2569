/** The batch service, started by its main or by another program. */
import { createJobService, type JobServiceDeps } from '@assay/job-service';
import type { Service } from '@assay/runtime';
import type { BatchConfig } from './config.ts';
import { batchKind } from './kind.ts';

export type BatchDeps = JobServiceDeps;

/** See `createJobService`. */
export function createBatch(config: BatchConfig, deps: BatchDeps): Promise<Service> {
  return createJobService(batchKind, config, deps);
}
