/** The training service as a process of its own: the only place that touches environment, signals and exit codes. */
import { jobServiceMain } from '@assay/job-service';
import { trainingKind } from './kind.ts';

export function main(): Promise<never> {
  return jobServiceMain(trainingKind, process.env);
}
