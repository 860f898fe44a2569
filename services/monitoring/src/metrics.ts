/** The monitoring service's own metrics; those of its requests come from the HTTP app. */
import { counter, defineMetrics, gauge, histogram, type MetricsOf } from '@assay/runtime';

export const monitoringMetrics = defineMetrics('monitoring', {
  predictions: counter({
    name: 'assay_monitoring_predictions_total',
    help: 'Predictions that arrived, by what became of them: kept, duplicate.',
    labels: ['outcome'],
  }),
  unreadable: counter({
    name: 'assay_monitoring_unreadable_events_total',
    help: 'Events of the topic of predictions that are not of their schema; they are logged and skipped.',
  }),
  waiting: gauge({
    name: 'assay_monitoring_waiting_rows',
    help: 'Predictions in the database that are not in a file yet.',
  }),
  files: gauge({ name: 'assay_monitoring_files', help: 'Files of predictions that are kept.' }),
  fileBytes: gauge({ name: 'assay_monitoring_files_bytes', help: 'Their size, all together.' }),
  expired: counter({ name: 'assay_monitoring_expired_files_total', help: 'Files deleted by the retention.' }),
  rollFailures: counter({
    name: 'assay_monitoring_roll_failures_total',
    help: 'Failed tries to write predictions to files, or to delete old files; they are tried again.',
  }),
  rollSeconds: histogram({
    name: 'assay_monitoring_roll_seconds',
    help: 'Writing what waits to files.',
    unit: 'seconds',
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  }),
  replays: counter({
    name: 'assay_monitoring_replays_total',
    help: 'Replays by outcome: same, different, failed.',
    labels: ['outcome'],
  }),
});

export type MonitoringMetrics = MetricsOf<typeof monitoringMetrics>;
