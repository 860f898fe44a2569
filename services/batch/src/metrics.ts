/** The batch service's own metrics; those of its requests come from the HTTP app. */
import { counter, defineMetrics, gauge, histogram, type MetricsOf } from '@assay/runtime';

export const batchMetrics = defineMetrics('batch', {
  jobs: counter({
    name: 'assay_batch_jobs_total',
    help: 'Jobs that ended, by the state they ended in: succeeded, failed, cancelled.',
    labels: ['state'],
  }),
  attemptFailures: counter({
    name: 'assay_batch_attempt_failures_total',
    help: 'Attempts that failed, by kind of failure; a job that is tried again counts once for each.',
    labels: ['kind'],
  }),
  jobDuration: histogram({
    name: 'assay_batch_job_duration_seconds',
    help: 'Time from the first start of a job to its end, by the state it ended in.',
    unit: 'seconds',
    labels: ['state'],
    buckets: [1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400],
  }),
  unfinished: gauge({
    name: 'assay_batch_unfinished_jobs',
    help: 'Jobs that have not ended, by state: queued, starting, running.',
    labels: ['state'],
  }),
  rows: counter({
    name: 'assay_batch_rows_total',
    help: 'Rows of finished shards, by what became of them: scored, failed.',
    labels: ['outcome'],
  }),
  stageSeconds: counter({
    name: 'assay_batch_stage_seconds_total',
    help: 'Time that jobs spent, by stage: read, score, write. The stages overlap.',
    labels: ['stage'],
  }),
});

export type BatchMetrics = MetricsOf<typeof batchMetrics>;
