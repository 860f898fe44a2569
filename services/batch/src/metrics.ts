/** The batch service's own metrics; those of its requests come from the HTTP app. */
import { jobMetrics } from '@assay/job-service';
import { counter, defineMetrics, histogram, type MetricsOf } from '@assay/runtime';

export const batchMetrics = defineMetrics('batch', {
  ...jobMetrics('batch'),
  rows: counter({
    name: 'assay_batch_rows_total',
    help: 'Rows of finished shards, by what became of them: scored, failed.',
    labels: ['outcome'],
  }),
  predictions: counter({
    name: 'assay_batch_predictions_total',
    help: 'Predictions that were chosen for the prediction log, by what became of them: logged, dropped.',
    labels: ['outcome'],
  }),
  rowDuration: histogram({
    name: 'assay_batch_row_duration_seconds',
    help: 'Time for a row, by stage: read, score, write; the mean of the shards that were finished since the report before.',
    unit: 'seconds',
    labels: ['stage', 'model', 'version'],
    buckets: [1e-6, 2e-6, 4e-6, 8e-6, 1.6e-5, 3.2e-5, 6.4e-5, 1.3e-4, 2.5e-4, 5e-4, 1e-3, 1e-2, 0.1],
  }),
  stageSeconds: counter({
    name: 'assay_batch_stage_seconds_total',
    help: 'Time that jobs spent, by stage: read, score, write. The stages overlap.',
    labels: ['stage'],
  }),
});

export type BatchMetrics = MetricsOf<typeof batchMetrics>;
