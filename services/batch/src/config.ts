/** The settings of the batch service. */
import { accessSettings } from '@assay/http';
import { type ConfigOf, defineConfig, logLevelSetting, setting } from '@assay/runtime';
import Type from 'typebox';

const ms = (minimum: number) => Type.Integer({ minimum, maximum: 30 * 24 * 3_600_000 });
const count = (maximum: number) => Type.Integer({ minimum: 1, maximum });

export const batchConfig = defineConfig('batch', {
  host: setting(Type.String({ minLength: 1 }), {
    default: '127.0.0.1',
    description: 'The address to listen on. Loopback only, as long as there is no serviceKey.',
  }),
  port: setting(Type.Integer({ minimum: 0, maximum: 65_535 }), {
    default: 8104,
    description: 'The port of the HTTP door; 0 takes a free one.',
  }),
  dataDir: setting(Type.String({ minLength: 1 }), {
    default: './.assay',
    env: 'ASSAY_DATA_DIR',
    description: 'The data folder. Batch keeps its database, jobs and packages in `batch` under it.',
  }),
  databaseUrl: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description: 'Where the jobs are recorded: `sqlite:FILE`. Without it `batch/batch.sqlite` in the data folder.',
  }),
  eventsUrl: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'The database of the embedded event log: `sqlite:FILE`. Without it `events.sqlite` in the data folder. Not read when another program hands the service its event bus.',
  }),
  ...accessSettings,
  registryUrl: setting(Type.String({ pattern: '^https?://' }), {
    default: 'http://127.0.0.1:8101',
    env: 'ASSAY_REGISTRY_URL',
    description: 'The registry that versions come from.',
  }),
  filesDir: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'The folder that inputs and outputs of jobs must be under. Without it a job reads and writes whatever the service may.',
  }),
  maxConcurrentJobs: setting(count(1000), {
    default: 1,
    description: 'Jobs that run at once; others wait in the queue.',
  }),
  maxAttempts: setting(count(100), {
    default: 3,
    description: 'How often a job is begun when it is killed, or when something that it needs is away.',
  }),
  jobTimeoutMs: setting(ms(1000), {
    default: 6 * 3_600_000,
    unit: 'ms',
    description: 'How long one attempt may take before it has failed.',
  }),
  cancelGraceMs: setting(ms(0), {
    default: 10_000,
    unit: 'ms',
    description: 'Between asking a job to stop and killing it.',
  }),
  jobNiceness: setting(Type.Integer({ minimum: 0, maximum: 19 }), {
    default: 10,
    description: 'The priority of jobs (nice): the higher, the more they give way to what serves on the same machine.',
  }),
  jobThreads: setting(count(256), {
    optional: true,
    description: 'Threads that score in one job. Without it as many as the job may use cores.',
  }),
  jobTableMemoryMb: setting(Type.Integer({ minimum: 128, maximum: 1_000_000 }), {
    default: 1024,
    unit: 'MB',
    description:
      'What the tables of one job may hold in memory; what does not fit is written beside the results meanwhile. The rest of a job takes some 300 MB and its model.',
  }),
  maxLongPollMs: setting(ms(1), {
    default: 60_000,
    unit: 'ms',
    description: 'The longest wait of `GET /v1/jobs/{id}`; a longer `waitMs` is refused.',
  }),
  maxWaiters: setting(count(100_000), {
    default: 1000,
    description: 'Calls that may wait for a change of a job at once.',
  }),
  drainDelayMs: setting(Type.Integer({ minimum: 0, maximum: 600_000 }), {
    default: 0,
    unit: 'ms',
    description:
      'At shutdown: how long to go on accepting after readiness is off. Some seconds behind a load balancer.',
  }),
  closeTimeoutMs: setting(ms(1), {
    default: 10_000,
    unit: 'ms',
    description: 'At shutdown: how long requests in flight may take before their connections are cut.',
  }),
  logLevel: logLevelSetting,
});

export type BatchConfig = ConfigOf<typeof batchConfig>;
