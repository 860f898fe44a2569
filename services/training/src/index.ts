/**
 * Training: a *job* turns a dataset and a spec into a registered version.
 *
 * A job is recorded before it is launched; each *attempt* runs in a process of its own, reports its progress with a token
 * of its own, and registers under the job's id, so that a job that is killed and begun again leaves one version.
 */
import { describeJobService } from '@assay/job-service';
import type { ServiceDescription } from '@assay/runtime';
import { trainingKind } from './kind.ts';

export { type TrainingConfig, trainingConfig } from './config.ts';
export { createTraining as createService, type TrainingDeps } from './service.ts';

/** The service's settings, metrics and API, without opening anything. */
export function describe(): ServiceDescription {
  return describeJobService(trainingKind);
}
