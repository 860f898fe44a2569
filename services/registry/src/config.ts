/** The registry's settings. */
import { tlsSettings } from '@assay/http';
import { PACKAGE_LIMITS } from '@assay/model-package';
import { type ConfigOf, defineConfig, logLevelSetting, setting } from '@assay/runtime';
import Type from 'typebox';

const positive = Type.Integer({ minimum: 1 });

export const registryConfig = defineConfig('registry', {
  host: setting(Type.String({ minLength: 1 }), {
    default: '127.0.0.1',
    description: 'The address to listen on. Loopback only, as long as there are no API keys (bootstrapKeysDir).',
  }),
  port: setting(Type.Integer({ minimum: 0, maximum: 65_535 }), {
    default: 8101,
    description: 'The port of the HTTP door; 0 takes a free one.',
  }),
  ...tlsSettings,
  dataDir: setting(Type.String({ minLength: 1 }), {
    default: './.assay',
    env: 'ASSAY_DATA_DIR',
    description:
      'The data folder. The registry keeps its database and blobs in `registry` under it, unless told otherwise.',
  }),
  databaseUrl: setting(Type.String({ minLength: 1 }), {
    secret: true,
    optional: true,
    description:
      'Where the tables are: `sqlite:FILE`, `postgres://USER:PASSWORD@HOST/DATABASE?schema=registry`. Without it `registry/registry.sqlite` in the data folder.',
  }),
  blobsUrl: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'Where the contents of packages and datasets are: `file:FOLDER`, `s3://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`. Without it `registry/blobs` in the data folder.',
  }),
  eventsUrl: setting(Type.String({ minLength: 1 }), {
    secret: true,
    optional: true,
    description:
      'The event bus: `kafka:` (the brokers of the Kafka settings), or the database of the embedded event log, `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/DATABASE?schema=events`. Without it Kafka where its brokers are set, else `events.sqlite` in the data folder. Not read when another program hands the registry its event bus.',
  }),
  bootstrapKeysDir: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'A folder with one file a principal (`admin`, `inference`, `training`, `batch`, `monitoring`, `metrics`), each with the text of its API key: a Secret of Kubernetes, or what `assay keys init` makes. With it every call needs a key. The registry follows the files: another text is another key, and a file that goes takes its key with it.',
  }),
  auditKeyFile: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'PEM file of the private Ed25519 key that signs the checkpoints of the audit chain; every replica has the same. Without it `registry/audit-key.pem` in the data folder, made at the first start, where the database is in the data folder too; elsewhere no checkpoints are made.',
  }),
  auditFormerKeysFile: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description: 'PEM file of the public keys of `auditKeyFile` before it was replaced, one block after another.',
  }),
  auditCheckpointMs: setting(positive, {
    default: 5 * 60_000,
    unit: 'ms',
    description: 'How long an audit entry waits for a signed checkpoint.',
  }),
  auditCheckpointEntries: setting(positive, {
    default: 1000,
    description: 'So many audit entries get a signed checkpoint before that time.',
  }),
  webhookKeyFile: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'File of the keys that seal the secrets of webhooks in the database, a line each, base64 of 32 bytes: the first seals, all of them open. Every replica has the same. Without it `registry/webhook-key` in the data folder, made at the first start, where the database is in the data folder too; elsewhere no webhooks can be made.',
  }),
  webhookAllowedNetworks: setting(Type.Array(Type.String({ minLength: 1 })), {
    default: [],
    description:
      'Networks that webhooks may post to though they are not public, such as `10.0.0.0/8` or `127.0.0.0/8`, separated by commas. To an address of this machine that is in one of them, http is allowed too.',
  }),
  webhookTimeoutMs: setting(positive, {
    default: 10_000,
    unit: 'ms',
    description: 'How long the receiver of a webhook may take to answer.',
  }),
  webhookMaxConcurrent: setting(positive, {
    default: 32,
    description: 'Posts to receivers of webhooks at once; four of one webhook at most.',
  }),
  webhookGiveUpMs: setting(positive, {
    default: 24 * 60 * 60_000,
    unit: 'ms',
    description: 'How long one event may fail to be taken before its webhook is disabled.',
  }),
  webhookMaxPending: setting(positive, {
    default: 10_000,
    description: 'So many events may wait for a webhook before it is disabled.',
  }),
  webhookRetentionMs: setting(positive, {
    default: 7 * 24 * 60 * 60_000,
    unit: 'ms',
    description: 'How long the log of deliveries keeps what was delivered, for its readers and for replay.',
  }),
  deletedRetentionMs: setting(positive, {
    default: 30 * 24 * 60 * 60_000,
    unit: 'ms',
    description: 'How long what was deleted can be restored; after it, a collection removes it for good.',
  }),
  unusedBlobGraceMs: setting(positive, {
    default: 24 * 60 * 60_000,
    unit: 'ms',
    description:
      'How old a content that nothing names must be before a collection removes it: whoever has put it may still register it.',
  }),
  collectEveryMs: setting(positive, {
    optional: true,
    unit: 'ms',
    description:
      'How often the registry collects by itself what is not needed any more; of several replicas one does. Without it, only `assay collect --delete` does.',
  }),
  maxBodyBytes: setting(positive, {
    default: 8 * 1024 * 1024,
    unit: 'bytes',
    description: 'The largest JSON body. A signature of thousands of features needs some megabytes.',
  }),
  maxBlobBytes: setting(positive, {
    default: PACKAGE_LIMITS.fileBytes,
    unit: 'bytes',
    description:
      'The largest file of a package or a dataset. ONNX itself ends at 2 GiB; a larger table is registered as several files.',
  }),
  maxPackageBytes: setting(positive, {
    default: PACKAGE_LIMITS.totalBytes,
    unit: 'bytes',
    description: 'All files of one package together.',
  }),
  uploadTimeoutMs: setting(positive, {
    default: 30 * 60_000,
    unit: 'ms',
    description: 'How long the upload of one file may take.',
  }),
  maxConcurrentChecks: setting(positive, {
    default: 2,
    description: 'Packages that are checked at once, each in a child process with the memory below.',
  }),
  maxWaitingChecks: setting(Type.Integer({ minimum: 0 }), {
    default: 32,
    description: 'Registrations that wait for a check; the next one is told to come back.',
  }),
  checkTimeoutMs: setting(positive, {
    default: 120_000,
    unit: 'ms',
    description: 'How long a graph may take to load and to score its golden records before its package is refused.',
  }),
  checkMemoryBytes: setting(Type.Integer({ minimum: 256 * 1024 * 1024 }), {
    default: 4 * 1024 * 1024 * 1024,
    unit: 'bytes',
    description: 'The memory that a graph may take when it is loaded before its package is refused.',
  }),
  maxLongPollMs: setting(positive, {
    default: 60_000,
    unit: 'ms',
    description: 'The longest wait of `GET /v1/routing` and `GET /v1/keys/snapshot`; a longer `waitMs` is refused.',
  }),
  maxRoutingWaiters: setting(positive, {
    default: 1000,
    description:
      'Calls that may wait for a routing change at once, and as many for a change of keys: more than there are replicas of services.',
  }),
  drainDelayMs: setting(Type.Integer({ minimum: 0 }), {
    default: 0,
    unit: 'ms',
    description:
      'At shutdown: how long to go on accepting after readiness is off. Some seconds behind a load balancer.',
  }),
  closeTimeoutMs: setting(positive, {
    default: 10_000,
    unit: 'ms',
    description: 'At shutdown: how long requests in flight may take before their connections are cut.',
  }),
  logLevel: logLevelSetting,
});

export type RegistryConfig = ConfigOf<typeof registryConfig>;
