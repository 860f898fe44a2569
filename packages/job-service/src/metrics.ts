/** The metrics that every service of jobs has, from the moves of its record; spread into its own. */

import { isFinished, type Lifecycle } from '@assay/jobs';
import { counter, gauge, histogram, type MetricsDefinition, type MetricsOf } from '@assay/runtime';
import type { JobOf, JobTypes } from './kind.ts';
import type { Jobs } from './store/jobs.ts';

/** @param service its name: `training` */
export function jobMetrics(service: string) {
  return {
    jobs: counter({
      name: `assay_${service}_jobs_total`,
      help: 'Jobs that ended, by the state they ended in: succeeded, failed, cancelled.',
      labels: ['state'],
    }),
    attemptFailures: counter({
      name: `assay_${service}_attempt_failures_total`,
      help: 'Attempts that failed, by kind of failure; a job that is tried again counts once for each.',
      labels: ['kind'],
    }),
    jobDuration: histogram({
      name: `assay_${service}_job_duration_seconds`,
      help: 'Time from the first start of a job to its end, by the state it ended in.',
      unit: 'seconds',
      labels: ['state'],
      buckets: [1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400],
    }),
    unfinished: gauge({
      name: `assay_${service}_unfinished_jobs`,
      help: 'Jobs that have not ended, by state: queued, starting, running.',
      labels: ['state'],
    }),
  };
}

export type JobMetrics = MetricsOf<MetricsDefinition<ReturnType<typeof jobMetrics>>>;

/** Counts what is unfinished when it is asked. */
export function countUnfinished<T extends JobTypes>(metrics: JobMetrics, jobs: Jobs<T>): void {
  metrics.unfinished.onScrape(async () => {
    const counts = await jobs.countUnfinished();
    for (const state of ['queued', 'starting', 'running']) {
      metrics.unfinished.bind({ state }).set(counts.get(state) ?? 0);
    }
  });
}

/** Counts the move of a job from one state to another. */
export function countMove<T extends JobTypes>(metrics: JobMetrics, job: JobOf<T>, from: Lifecycle): void {
  const { state, failure, startedAt, endedAt } = job;
  const isFailedAttempt = failure !== null && (state === 'failed' || (state === 'queued' && from.state !== 'queued'));
  if (isFailedAttempt) metrics.attemptFailures.bind({ kind: failure.kind }).inc();
  if (!isFinished(state)) return;
  metrics.jobs.bind({ state }).inc();
  if (startedAt !== null && endedAt !== null) {
    metrics.jobDuration.bind({ state }).observe((endedAt - startedAt) / 1000);
  }
}
