/** The training service, started by its main or by another program. */
import { createJobService, type JobServiceDeps } from '@assay/job-service';
import type { Service } from '@assay/runtime';
import type { TrainingConfig } from './config.ts';
import { trainingKind } from './kind.ts';

export type TrainingDeps = JobServiceDeps;

/** See `createJobService`. */
export function createTraining(config: TrainingConfig, deps: TrainingDeps): Promise<Service> {
  return createJobService(trainingKind, config, deps);
}
