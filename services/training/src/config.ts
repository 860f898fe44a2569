/** The settings of the training service. */
import { accessSettings } from '@assay/http';
import { type ConfigOf, defineConfig, logLevelSetting, setting } from '@assay/runtime';
import Type from 'typebox';

const ms = (minimum: number) => Type.Integer({ minimum, maximum: 30 * 24 * 3_600_000 });
const count = (maximum: number) => Type.Integer({ minimum: 1, maximum });

export const trainingConfig = defineConfig('training', {
  host: setting(Type.String({ minLength: 1 }), {
    default: '127.0.0.1',
    description: 'The address to listen on. Loopback only, as long as there is no serviceKey.',
  }),
  port: setting(Type.Integer({ minimum: 0, maximum: 65_535 }), {
    default: 8103,
    description: 'The port of the HTTP door; 0 takes a free one.',
  }),
  dataDir: setting(Type.String({ minLength: 1 }), {
    default: './.assay',
    env: 'ASSAY_DATA_DIR',
    description: 'The data folder. Training keeps its database, jobs and libraries in `training` under it.',
  }),
  databaseUrl: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'Where the jobs are recorded: `sqlite:FILE`. Without it `training/training.sqlite` in the data folder.',
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
    description: 'The registry that trained versions are registered with.',
  }),
  maxConcurrentJobs: setting(count(1000), {
    default: 1,
    description: 'Jobs that run at once; others wait in the queue. A job takes all cores that it may.',
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
  lightgbmLibrary: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'The file lib_lightgbm.so of LightGBM 4.7.0. Without it the one of the wheel, which pip fetches once into libraryCacheDir.',
  }),
  libraryCacheDir: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description: 'Where fetched libraries are kept. Without it `training/libraries` in the data folder.',
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

export type TrainingConfig = ConfigOf<typeof trainingConfig>;
