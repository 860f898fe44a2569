/** The metrics of jobs, from the moves of their record. */
import type { Job } from '@assay/contracts';
import { isFinished, type Lifecycle } from '@assay/jobs';
import type { TrainingMetrics } from './metrics.ts';
import type { Jobs } from './store/jobs.ts';

export interface JobObserver {
  moved(job: Job, from: Lifecycle): void;
}

export function observeJobs(metrics: TrainingMetrics, jobs: Jobs): JobObserver {
  metrics.unfinished.onScrape(async () => {
    const counts = await jobs.countUnfinished();
    for (const state of ['queued', 'starting', 'running']) {
      metrics.unfinished.bind({ state }).set(counts.get(state) ?? 0);
    }
  });
  return {
    moved(job, from) {
      const { state, failure, startedAt, endedAt } = job;
      const isFailedAttempt =
        failure !== null && (state === 'failed' || (state === 'queued' && from.state !== 'queued'));
      if (isFailedAttempt) metrics.attemptFailures.bind({ kind: failure.kind }).inc();
      if (!isFinished(state)) return;
      metrics.jobs.bind({ state }).inc();
      if (startedAt !== null && endedAt !== null) {
        metrics.jobDuration.bind({ state }).observe((endedAt - startedAt) / 1000);
      }
    },
  };
}
