/** The training service's own metrics; those of its requests come from the HTTP app. */
import { jobMetrics } from '@assay/job-service';
import { counter, defineMetrics } from '@assay/runtime';

export const trainingMetrics = defineMetrics('training', {
  ...jobMetrics('training'),
  rows: counter({
    name: 'assay_training_rows_total',
    help: 'Rows that jobs with a result were trained, validated and tested on.',
  }),
});
