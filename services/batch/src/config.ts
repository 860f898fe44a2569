/** The settings of the batch service. */
import { jobServiceSettings } from '@assay/job-service';
import { type ConfigOf, defineConfig, setting } from '@assay/runtime';
import Type from 'typebox';

export const batchConfig = defineConfig('batch', {
  ...jobServiceSettings('batch', { port: 8104 }),
  filesDir: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'The folder that inputs and outputs of jobs must be under. Without it a job reads and writes whatever the service may.',
  }),
  jobThreads: setting(Type.Integer({ minimum: 1, maximum: 256 }), {
    optional: true,
    description: 'Threads that score in one job. Without it as many as the job asks for, else as it may use cores.',
  }),
  jobTableMemoryMb: setting(Type.Integer({ minimum: 128, maximum: 1_000_000 }), {
    default: 1024,
    unit: 'MB',
    description:
      'What the tables of one job may hold in memory; what does not fit is written beside the results meanwhile. The rest of a job takes some 300 MB and its model.',
  }),
});

export type BatchConfig = ConfigOf<typeof batchConfig>;
