/** The settings of the monitoring service. */
import { accessSettings, tlsSettings } from '@assay/http';
import { type ConfigOf, defineConfig, logLevelSetting, setting } from '@assay/runtime';
import Type from 'typebox';

const ms = (minimum: number) => Type.Integer({ minimum, maximum: 30 * 24 * 3_600_000 });
const count = (maximum: number) => Type.Integer({ minimum: 1, maximum });

export const monitoringConfig = defineConfig('monitoring', {
  host: setting(Type.String({ minLength: 1 }), {
    default: '127.0.0.1',
    description: 'The address to listen on. Loopback only, as long as there is no serviceKey.',
  }),
  port: setting(Type.Integer({ minimum: 0, maximum: 65_535 }), {
    default: 8105,
    description: 'The port of the HTTP door; 0 takes a free one.',
  }),
  dataDir: setting(Type.String({ minLength: 1 }), {
    default: './.assay',
    env: 'ASSAY_DATA_DIR',
    description:
      'The data folder. Monitoring keeps its database, predictions and the packages that it replays in `monitoring` under it.',
  }),
  databaseUrl: setting(Type.String({ minLength: 1 }), {
    optional: true,
    secret: true,
    description:
      'Where predictions are kept until they are in a file, and which files there are: `sqlite:FILE`, or `postgres://USER:PASSWORD@HOST/DATABASE?schema=monitoring`. Without it `monitoring/monitoring.sqlite` in the data folder.',
  }),
  blobsUrl: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'Where the Parquet files are kept: `file:FOLDER`, `s3://BUCKET` or `az://CONTAINER`. Without it `monitoring/predictions` in the data folder.',
  }),
  eventsUrl: setting(Type.String({ minLength: 1 }), {
    optional: true,
    secret: true,
    description:
      'Where predictions come from: `kafka:` (the brokers of ASSAY_KAFKA_BROKERS), or the database of the embedded event log, `sqlite:FILE` or `postgres://…`. Without it `kafka:` where there are brokers, else `events.sqlite` in the data folder. Not read when another program hands the service its event bus.',
  }),
  registryUrl: setting(Type.String({ pattern: '^https?://' }), {
    default: 'http://127.0.0.1:8101',
    env: 'ASSAY_REGISTRY_URL',
    description: 'The registry that versions are had from when a prediction is replayed.',
  }),
  ...tlsSettings,
  ...accessSettings,
  retentionDays: setting(count(36_500), {
    default: 30,
    description: 'Whole days (UTC) that predictions are kept, the current one not counted; older files are deleted.',
  }),
  rollRows: setting(count(1_000_000), {
    default: 20_000,
    unit: 'rows',
    description: 'So many predictions go into files at once …',
  }),
  rollBytes: setting(Type.Integer({ minimum: 1024 }), {
    default: 32 * 1024 ** 2,
    unit: 'bytes',
    description: '… or so many bytes of records and outputs …',
  }),
  rollAfterMs: setting(ms(100), {
    default: 300_000,
    unit: 'ms',
    description: '… or after so long, whatever there is. Until then they are in the database, and found all the same.',
  }),
  seenForMs: setting(ms(1000), {
    default: 3_600_000,
    unit: 'ms',
    description:
      'How long the ids of predictions that are in files are remembered, so that an event that is delivered again is not kept twice.',
  }),
  maxReplayModels: setting(count(1000), {
    default: 4,
    description: 'Versions that stay in memory for replays; the one used longest ago goes first.',
  }),
  maxWaitingReplays: setting(count(100_000), {
    default: 64,
    description: 'Replays that may wait for their turn; one runs at a time.',
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

export type MonitoringConfig = ConfigOf<typeof monitoringConfig>;
