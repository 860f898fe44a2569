/** The settings of the inference service. */
import { accessSettings, tlsSettings } from '@assay/http';
import { type ConfigOf, defineConfig, logLevelSetting, setting } from '@assay/runtime';
import Type from 'typebox';

const ms = (minimum: number) => Type.Integer({ minimum, maximum: 3_600_000 });
const count = (maximum: number) => Type.Integer({ minimum: 1, maximum });

export const inferenceConfig = defineConfig('inference', {
  host: setting(Type.String({ minLength: 1 }), {
    default: '127.0.0.1',
    description: 'The address to listen on. Without API keys only loopback addresses are taken.',
  }),
  port: setting(Type.Integer({ minimum: 0, maximum: 65_535 }), {
    default: 8102,
    description: 'The port to listen on; 0 takes a free one.',
  }),
  ...tlsSettings,
  ...accessSettings,
  registryUrl: setting(Type.String({ pattern: '^https?://' }), {
    default: 'http://127.0.0.1:8101',
    env: 'ASSAY_REGISTRY_URL',
    description: 'The registry that routing and packages come from.',
  }),
  cacheDir: setting(Type.String({ minLength: 1 }), {
    default: './.assay/inference',
    description:
      'Where the last routing snapshot and the packages are kept, so that the service starts and serves when the registry is away. One folder a replica.',
  }),
  cacheMaxBytes: setting(Type.Integer({ minimum: 0 }), {
    default: 20 * 1024 ** 3,
    unit: 'bytes',
    description:
      'When the packages on disk are over it, those used longest ago are removed; never one that an endpoint uses.',
  }),
  pollIntervalMs: setting(ms(100), {
    default: 5000,
    unit: 'ms',
    description: 'The registry is asked again at least so often, whether it has announced a change or not.',
  }),
  routingStaleAfterMs: setting(ms(1000), {
    default: 60_000,
    unit: 'ms',
    description: 'When the registry has not answered for so long, readiness says so (and the service keeps serving).',
  }),
  retryFirstMs: setting(ms(1), {
    default: 250,
    unit: 'ms',
    description:
      'The pause after a first failure to reach the registry or to load a version; it doubles with each more.',
  }),
  retryMaxMs: setting(ms(1), { default: 30_000, unit: 'ms', description: 'The longest such pause.' }),
  maxConcurrentLoads: setting(count(64), {
    default: 2,
    description: 'How many versions are fetched and loaded at a time.',
  }),
  loadTimeoutMs: setting(ms(1000), {
    default: 600_000,
    unit: 'ms',
    description: 'A version that is not fetched, loaded and tested within it has failed, and is tried again later.',
  }),
  modelMemoryBytes: setting(Type.Integer({ minimum: 0 }), {
    default: 0,
    unit: 'bytes',
    description:
      'What all models in memory may hold together, as it is estimated from their files. Over it, those that were used longest ago are unloaded; the next request loads them again from the disk cache. 0: no limit. Stream scoring holds its models besides, always.',
  }),
  modelMemoryFactor: setting(Type.Number({ minimum: 1, maximum: 100 }), {
    default: 12,
    description:
      'How many times the size of its ONNX file a model is taken to hold in memory (modelMemoryBytes). Measured: 9 to 11 for trees, 1.5 for neural networks.',
  }),
  maxBatchRows: setting(count(65_536), {
    default: 64,
    unit: 'rows',
    description: 'Most rows of one run of a model; more are run in several.',
  }),
  threads: setting(count(256), {
    default: 1,
    description: 'Threads of one run. With more than one, some models give other bits from run to run.',
  }),
  placement: setting(Type.Enum(['auto', 'loop', 'thread']), {
    default: 'auto',
    description:
      'Where the runs of a model are done. `loop`: on the event loop, which is fastest for small models. `thread`: in a thread of its own, so that a long run holds up no other request. `auto`: on the loop, unless a full batch was measured to take more than 3 ms, or the model runs on a GPU.',
  }),
  isolation: setting(Type.Enum(['none', 'process']), {
    default: 'none',
    description:
      'With `process` each version runs in a process of its own, whatever `placement` says: a model that crashes takes nothing else along, and is started again. It costs some 80 MB a version, and tenths of a millisecond a run.',
  }),
  provider: setting(Type.Enum(['cpu', 'cuda', 'tensorrt']), {
    default: 'cpu',
    description:
      'Where models run: `cpu`, or on a GPU by `cuda` or `tensorrt`. A GPU is tried at the start; without one the service does not start. A model with a node that the GPU cannot run is refused.',
  }),
  providerFallback: setting(Type.Boolean(), {
    default: false,
    description:
      'Whether models, or those of their nodes that the GPU cannot run, may run on the CPU instead. A start without the GPU is then a warning, told by readiness and by assay_inference_provider_missing.',
  }),
  maxQueueRows: setting(count(10_000_000), {
    default: 4096,
    unit: 'rows',
    description: 'Rows that may wait for one version; beyond it requests are answered OVERLOADED with Retry-After.',
  }),
  shadowQueueRows: setting(count(10_000_000), {
    default: 2048,
    unit: 'rows',
    description: 'Rows that may wait for shadows, all together; what does not fit is dropped and counted.',
  }),
  shadowQueueBytes: setting(count(1024 ** 3), {
    default: 32 * 1024 ** 2,
    unit: 'bytes',
    description: 'Bodies of requests that may wait for shadows.',
  }),
  shadowReportMs: setting(count(3_600_000), {
    default: 10_000,
    unit: 'ms',
    description: 'How often the registry is told what shadows were compared to be.',
  }),
  metricsCompatibility: setting(Type.Enum(['none', 'triton', 'kserve', 'all']), {
    default: 'none',
    description:
      "Whose metrics are at /metrics too, by their own names and labels, so that existing dashboards work: Triton's, KServe's, or both.",
  }),
  responseCacheMaxBytes: setting(Type.Integer({ minimum: 0, maximum: 2 ** 36 }), {
    default: 256 * 1024 ** 2,
    unit: 'bytes',
    description:
      'Memory for answers that are used again, of all endpoints together, whatever their `cache.maxBytes` say; 0 keeps none.',
  }),
  maxExplainedRecords: setting(count(10_000), {
    description: 'Most records of one request that asks for explanations: each costs some tenths of a millisecond.',
    default: 100,
    unit: 'rows',
  }),
  maxRecords: setting(count(1_000_000), {
    default: 4096,
    unit: 'rows',
    description: 'Most records of one request. It cannot be answered when it is over maxQueueRows.',
  }),
  bodyLimitBytes: setting(Type.Integer({ minimum: 1024, maximum: 1024 ** 3 }), {
    default: 16 * 1024 ** 2,
    unit: 'bytes',
    description: 'Largest body of one request.',
  }),
  grpcPort: setting(Type.Integer({ minimum: 0, maximum: 65_535 }), {
    optional: true,
    description:
      'The port of gRPC: 9001 on Kubernetes, by the chart; 0 takes a free one. Without it nothing of gRPC is loaded. Its address, its keys and its TLS are those of HTTP.',
  }),
  grpcMaxMessageBytes: setting(Type.Integer({ minimum: 1024, maximum: 1024 ** 3 }), {
    default: 64 * 1024 ** 2,
    unit: 'bytes',
    description: 'Largest message of a gRPC call, as it is sent and as it is decompressed.',
  }),
  grpcMaxConcurrentStreams: setting(count(100_000), {
    default: 1024,
    description: 'gRPC calls of one connection at a time; callers keep what is more to themselves until others end.',
  }),
  grpcMaxStreamMessages: setting(count(100_000), {
    default: 256,
    description:
      'Messages of one ModelStreamInfer that may wait for their answers, and with these have about grpcMaxMessageBytes; the caller is held back by flow control.',
  }),
  maxConnections: setting(count(1_000_000), {
    default: 10_000,
    description:
      'Connections that may be open at a time, of HTTP and of gRPC each; further ones are closed at once and counted. An idle one holds some kB.',
  }),
  requestTimeoutMs: setting(ms(100), {
    default: 60_000,
    unit: 'ms',
    description:
      'For a request to arrive whole: over HTTP with its body, over gRPC each message. Who takes nothing of an answer for as long does not get the rest.',
  }),
  maxTimeoutMs: setting(ms(1), {
    default: 60_000,
    unit: 'ms',
    description: 'No request waits longer, whatever Assay-Timeout-Ms or its endpoint says.',
  }),
  lane: setting(Type.Boolean(), {
    default: true,
    description:
      'Whether scoring requests in the usual form take a short way past the HTTP framework; the answers are the same. Turn it off to look for the cause of a problem.',
  }),
  predictionLogRatio: setting(Type.Number({ minimum: 0, maximum: 1 }), {
    default: 1,
    description:
      'The share of predictions that is logged, record and outputs, so that it can be looked up and replayed; 0 logs none.',
  }),
  predictionLogRatios: setting(Type.Record(Type.String(), Type.Number({ minimum: 0, maximum: 1 })), {
    default: {},
    description: 'The share of single endpoints, by name, in place of predictionLogRatio: `{"flight-delay": 0.1}`.',
  }),
  predictionLogMaxPerSecond: setting(count(1_000_000), {
    default: 500,
    unit: 'rows',
    description:
      'Most predictions logged in a second, those of requests and of streams apart; what is more is dropped and counted. It bounds what the log costs a busy endpoint, of which up to 16 in succession are logged at a time.',
  }),
  predictionLogQueueRows: setting(count(1_000_000), {
    default: 8192,
    unit: 'rows',
    description: 'Predictions that may wait to be logged; what is more is dropped and counted. No request ever waits.',
  }),
  predictionLogQueueBytes: setting(Type.Integer({ minimum: 1024 }), {
    default: 64 * 1024 ** 2,
    unit: 'bytes',
    description:
      'The memory that predictions waiting to be logged may hold, about; what is more is dropped and counted.',
  }),
  predictionLogLingerMs: setting(Type.Integer({ minimum: 1, maximum: 60_000 }), {
    default: 200,
    unit: 'ms',
    description: 'How long predictions are gathered before they are logged together.',
  }),
  eventsUrl: setting(Type.String({ minLength: 1 }), {
    optional: true,
    secret: true,
    description:
      'Where predictions are logged: `kafka:` (the brokers of ASSAY_KAFKA_BROKERS; those of streams in the transaction of their results), or the database of an event log, `postgres://…`. Without it `kafka:` where there are brokers, else they are not logged. Not read when another program hands the service its event bus.',
  }),
  registryPipelines: setting(Type.Boolean(), {
    default: false,
    description:
      'Whether the pipelines that the registry keeps are run, which needs Kafka; with what changes there they change here. In place of pipelinesFile.',
  }),
  pipelinesFile: setting(Type.String(), {
    default: '',
    description:
      'A YAML file of pipelines for stream scoring, which needs Kafka. Empty: no stream scoring, and nothing of Kafka is loaded.',
  }),
  streamThreads: setting(Type.Integer({ minimum: 0, maximum: 256 }), {
    default: 0,
    unit: 'threads',
    description:
      'Threads of stream scoring. Each holds the models of the pipelines and takes its share of the partitions; more than there are partitions are idle. 0 takes one for each CPU core that the process may use but one, four at most.',
  }),
  streamNiceness: setting(Type.Integer({ minimum: 0, maximum: 19 }), {
    default: 10,
    description:
      'How far stream scoring stands back behind requests when CPU cores are busy: the nice value of its threads, on Linux. 0 makes them equal.',
  }),
  drainDelayMs: setting(Type.Integer({ minimum: 0, maximum: 600_000 }), {
    default: 0,
    unit: 'ms',
    description: 'How long it keeps accepting after it has said that it is not ready; on Kubernetes a few seconds.',
  }),
  closeTimeoutMs: setting(ms(1), {
    default: 10_000,
    unit: 'ms',
    description: 'How long open requests have to end when it stops.',
  }),
  logSampleRatio: setting(Type.Number({ minimum: 0, maximum: 1 }), {
    default: 0.01,
    description: 'The share of scoring requests that are logged.',
  }),
  logLevel: logLevelSetting,
});

export type InferenceConfig = ConfigOf<typeof inferenceConfig>;
