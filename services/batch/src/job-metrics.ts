/** The metrics of jobs, from the moves of their record. */
import type { BatchJob, JobProgress } from '@assay/contracts';
import { isFinished, type Lifecycle } from '@assay/jobs';
import type { BatchMetrics } from './metrics.ts';
import type { Jobs } from './store/jobs.ts';

export interface JobObserver {
  moved(job: BatchJob, from: Lifecycle): void;
}

export function observeJobs(metrics: BatchMetrics, jobs: Jobs): JobObserver {
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

/** What a job counts of itself, in its progress. Rows are those of finished shards, of all its attempts. */
export const PROGRESS_METRICS = {
  rowsIn: 'rows_in',
  rowsOut: 'rows_out',
  rowsFailed: 'rows_failed',
  readSeconds: 'read_seconds',
  scoreSeconds: 'score_seconds',
  writeSeconds: 'write_seconds',
} as const;

/** Counts what a job did since the progress before. */
export function countProgress(metrics: BatchMetrics, before: JobProgress | null, now: JobProgress): void {
  const since = (name: string): number => {
    const [then, value] = [before?.metrics?.[name] ?? 0, now.metrics?.[name]];
    if (value === undefined) return 0;
    return value >= then ? value - then : value; // a new attempt counts its seconds from 0
  };
  metrics.rows.bind({ outcome: 'scored' }).inc(since(PROGRESS_METRICS.rowsOut));
  metrics.rows.bind({ outcome: 'failed' }).inc(since(PROGRESS_METRICS.rowsFailed));
  metrics.stageSeconds.bind({ stage: 'read' }).inc(since(PROGRESS_METRICS.readSeconds));
  metrics.stageSeconds.bind({ stage: 'score' }).inc(since(PROGRESS_METRICS.scoreSeconds));
  metrics.stageSeconds.bind({ stage: 'write' }).inc(since(PROGRESS_METRICS.writeSeconds));
}
