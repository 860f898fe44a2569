/** The service put together: domain, doors, caches. */
import { join } from 'node:path';
import { openAccess } from '@assay/access';
import { AssayError } from '@assay/contracts';
import type { NewTopicOptions } from '@assay/events/kafka-records';
import {
  type Access,
  type App,
  createHttpApp,
  drainAndClose,
  listen,
  openServerTls,
  type ReadyReport,
  type ServerTls,
} from '@assay/http';
import type { KafkaSettings } from '@assay/kafka';
import {
  ASSAY_VERSION,
  createLogger,
  createRegistry,
  entryUrl,
  type Logger,
  type Registry,
  type Service,
} from '@assay/runtime';
import { addCompatibleMetrics } from './compatible-metrics.ts';
import { type InferenceConfig, inferenceConfig } from './config.ts';
import { createReadiness, type Readiness } from './domain/readiness.ts';
import { createServing, type Serving } from './domain/serving.ts';
import type { LoadVersion, PackageSource } from './domain/version.ts';
import type { GrpcDoor, OpenGrpcOptions } from './grpc/open-grpc.ts';
import { addNamedRoutes } from './http/named-routes.ts';
import { addOipRoutes } from './http/oip/routes.ts';
import { addOutcomeRoutes } from './http/outcome-routes.ts';
import { openLane } from './lane/open-lane.ts';
import { createObserver, type Observer } from './observer.ts';
import { openPredictionLogs } from './predictions/open-predictions.ts';
import type { EventSink, PredictionLog } from './predictions/prediction-log.ts';
import { type ModelSource, openRegistrySource, staticSource } from './routing/open-source.ts';
import { createShadowReporter } from './routing/report-shadows.ts';
import { sharePackages } from './stream-threads/shared-packages.ts';
import type { StreamThreads, StreamThreadsOptions } from './stream-threads/stream-threads.ts';
import { chooseProvider, type ProviderChoice } from './versions/choose-provider.ts';
import { graphsDir } from './versions/graphs-dir.ts';
import { createVersionLoader, placeOf } from './versions/load-version.ts';
import { memoryLimit } from './versions/memory-limit.ts';

export interface InferenceDependencies {
  /** Instead of the registry that the config names. */
  readonly models?: ModelSource;
  /** Where predictions are logged; without it none are. It stays its owner's to close. */
  readonly predictions?: EventSink;
  /**
   * Given when `predictions` is the cluster of `kafka`: streams then log in the transaction of their results. How the
   * topic is made where it is not there yet.
   */
  readonly predictionTopics?: NewTopicOptions;
  /** How to reach Kafka, for the pipelines that the config names. */
  readonly kafka?: KafkaSettings;
  /** Instead of `entries/stream-thread.ts`. */
  readonly streamsEntry?: URL;
  readonly log?: Logger;
  readonly registry?: Registry;
}

const TITLE = 'Assay inference';
const DESCRIPTION =
  'Scores records at endpoints: as named records, or by the Open Inference Protocol v2. Requests are all or nothing.';

/**
 * The inference service. `start` listens and begins to load; `/readyz` says when it serves. With static models `start`
 * resolves when all of them serve.
 * @throws UNAVAILABLE when another process uses the cache folder; FAILED_PRECONDITION for wrong TLS files; `start`: UNAVAILABLE for a port that is taken,
 *   FAILED_PRECONDITION for an address that others can reach, UNPROCESSABLE_MODEL for a static model that does not load
 */
export async function createService(config: InferenceConfig, deps: InferenceDependencies = {}): Promise<Service> {
  const log = deps.log ?? createLogger({ service: 'inference', level: config.logLevel });
  const registry = deps.registry ?? createRegistry();
  const tls = await openServerTls(inferenceConfig, config);
  const provider = await chooseProvider(config, log);
  const openStreams = await prepareStreams(config, deps);
  const openGrpc = await prepareGrpc(config);
  const observer = createObserver(registry, log);
  addCompatibleMetrics(registry, config.metricsCompatibility, () => observer.scored());
  const source = deps.models === undefined ? await openRegistrySource(config, log) : staticSource(deps.models);
  const shared = sharePackages(source.packages);
  const packages = shared.user();
  let streams: StreamThreads | undefined;
  const serving = createServing({
    routing: source.routing,
    packages,
    load: createLoader(config, packages, provider, observer, log),
    observer,
    maxConcurrentLoads: config.maxConcurrentLoads,
    loadTimeoutMs: config.loadTimeoutMs,
    retry: { firstMs: config.retryFirstMs, maxMs: config.retryMaxMs },
    memory: memoryLimit(config),
    maxTimeoutMs: config.maxTimeoutMs,
    shadowQueueRows: config.shadowQueueRows,
    shadowQueueBytes: config.shadowQueueBytes,
    responseCacheMaxBytes: config.responseCacheMaxBytes,
    cached: source.cached,
    keep(effective) {
      source.keep(effective);
      streams?.route(serving.convergence.wanted ?? effective, effective);
    },
  });
  const staleAfterMs = source.isStatic ? Number.POSITIVE_INFINITY : config.routingStaleAfterMs;
  const readiness = createReadiness(serving, { ageMs: () => observer.routingAgeMs(), staleAfterMs });
  const { predictions: sink, predictionTopics: topics } = deps;
  const target = sink === undefined ? undefined : { sink, topics };
  const predictions = openPredictionLogs(config, target, observer, log);
  watch(observer, serving, predictions?.requests, provider);
  let isStopping = false;
  const guard = openAccess(config, { cacheFile: join(config.cacheDir, 'keys.json'), log, registry });
  const isReady = () => !isStopping && readiness().ready && guard.access.ready() === true;
  const logged = predictions === undefined ? undefined : target;
  streams = openStreams?.({ provider, packages: shared, predictions: logged, registry, log });
  const app = createApp(config, {
    log,
    registry,
    serving,
    readiness: () => withStreams(withProvider(readiness(), provider), streams),
    isReady,
    access: guard.access,
    tls,
    predictions: predictions?.requests,
    sink,
    observer,
  });
  const grpc = openGrpc?.(app, {
    dataplane: serving.dataplane,
    convergence: serving.convergence,
    maxRecords: config.maxRecords,
    ...(predictions === undefined ? {} : { predictions: predictions.requests }),
    version: ASSAY_VERSION,
    isReady,
    registry,
    tls,
  });
  const addresses: Record<string, string> = {};
  let reporter: ReturnType<typeof createShadowReporter> | undefined;

  return {
    name: 'inference',
    addresses,
    async start() {
      serving.start();
      if (source.reportShadows !== undefined) {
        const { shadows } = serving;
        const options = { records: () => shadows.records(), send: source.reportShadows, log };
        reporter = createShadowReporter({ ...options, intervalMs: config.shadowReportMs });
      }
      await guard.start();
      if (source.isStatic) await startWhole(serving, config.loadTimeoutMs);
      addresses.http = await listen(app, {
        host: config.host,
        port: config.port,
        portSetting: 'ASSAY_INFERENCE_PORT',
        keysSetting: 'set ASSAY_SERVICE_KEY_FILE to the key of this service',
      });
      if (grpc !== undefined && config.grpcPort !== undefined) addresses.grpc = await grpc.listen(config.grpcPort);
      streams?.start();
    },
    async close() {
      isStopping = true;
      const [http, calls] = await Promise.all([drainAndClose(app, config), grpc?.close(), streams?.close()]);
      const cutOff = http.cutOff + (calls?.cutOff ?? 0);
      if (cutOff > 0) log.warn({ cutOff }, 'requests were cut off by the stop');
      await serving.close();
      await reporter?.close();
      await predictions?.requests.close(config.closeTimeoutMs);
      await guard.close();
      await source.close();
    },
  };
}

/**
 * What Kafka needs is loaded when there are pipelines, and not otherwise.
 * @throws INVALID_ARGUMENT for a pipelines file that is wrong, for two places to take pipelines from, without a Kafka
 */
async function prepareStreams(
  config: InferenceConfig,
  { kafka, models, streamsEntry }: InferenceDependencies,
): Promise<((parts: StreamParts) => StreamThreads) | undefined> {
  const { pipelinesFile, registryPipelines } = config;
  if (pipelinesFile === '' && !registryPipelines) return undefined;
  const wrong = (message: string) => new AssayError('INVALID_ARGUMENT', message);
  if (pipelinesFile !== '' && registryPipelines) {
    throw wrong(
      'pipelinesFile and registryPipelines are both set: pipelines are those of a file or those of the registry',
    );
  }
  if (registryPipelines && models !== undefined) throw wrong('registryPipelines is set, and there is no registry here');
  if (kafka === undefined) {
    const what = registryPipelines ? 'registryPipelines asks for pipelines' : `${pipelinesFile} names pipelines`;
    throw wrong(`${what}, and no Kafka: set ASSAY_KAFKA_BROKERS`);
  }
  const [{ createStreamThreads }, { readPipelines }] = await Promise.all([
    import('./stream-threads/stream-threads.ts'),
    import('./kafka/pipelines.ts'),
  ]);
  const pipelines = registryPipelines ? undefined : await readPipelines(pipelinesFile);
  const entry = streamsEntry ?? entryUrl('services/inference', 'stream-thread');
  return (parts) => createStreamThreads({ ...parts, config, kafka, pipelines, entry });
}

/** What gRPC needs is loaded when there is a port for it, and not otherwise. */
async function prepareGrpc(
  config: InferenceConfig,
): Promise<((app: App, options: OpenGrpcOptions) => GrpcDoor) | undefined> {
  if (config.grpcPort === undefined) return undefined;
  const { openGrpc } = await import('./grpc/open-grpc.ts');
  return (app, options) => openGrpc(app, config, options);
}

type StreamParts = Omit<StreamThreadsOptions, 'config' | 'kafka' | 'pipelines' | 'entry'>;

function createLoader(
  config: InferenceConfig,
  packages: PackageSource,
  provider: ProviderChoice,
  observer: Observer,
  log: Logger,
): LoadVersion {
  return createVersionLoader({
    packages,
    maxBatchRows: config.maxBatchRows,
    threads: config.threads,
    provider,
    place: placeOf(config),
    observer,
    maxQueueRows: config.maxQueueRows,
    graphCacheDir: graphsDir(config),
    log,
  });
}

function watch(
  observer: Observer,
  { live, convergence, caches }: Serving,
  predictions: PredictionLog | undefined,
  { problem }: ProviderChoice,
): void {
  observer.watch({
    queuedRows: () => live.queuedRows,
    loadedVersions: () => live.size,
    restingVersions: () => live.resting,
    modelBytes: () => live.heldBytes,
    heldBackEndpoints: () => convergence.status().filter(({ problem }) => problem !== undefined).length,
    queuedPredictions: () => predictions?.queuedRows ?? 0,
    heldResponses: () => caches.held(),
    isProviderMissing: problem !== undefined,
  });
}

/** @throws the failure of the first version that does not load */
async function startWhole(serving: Serving, timeoutMs: number): Promise<void> {
  await serving.whenSettled(AbortSignal.timeout(timeoutMs)).catch((cause: unknown) => {
    throw new AssayError('UNAVAILABLE', `the models were not loaded within ${timeoutMs} ms`, { cause });
  });
  const failed = serving.convergence.status().find(({ problem }) => problem !== undefined);
  if (failed !== undefined) {
    throw new AssayError('UNPROCESSABLE_MODEL', `cannot serve "${failed.wanted.name}": ${failed.problem}`);
  }
}

/** The app as the API reference needs it: every route, and nothing behind them. */
export function describeApp(): App {
  const log = createLogger({ service: 'inference', level: 'silent' });
  const registry = createRegistry();
  const observer = createObserver(registry, log);
  const nothing = () => Promise.reject(new AssayError('UNAVAILABLE', 'the API is described here, not served'));
  const serving = createServing({
    routing: { next: nothing },
    packages: { fetch: nothing },
    load: nothing,
    observer,
    maxConcurrentLoads: 1,
    loadTimeoutMs: 1,
    retry: { firstMs: 1, maxMs: 1 },
    maxTimeoutMs: 1,
    shadowQueueRows: 1,
    shadowQueueBytes: 1,
    responseCacheMaxBytes: 0,
    cached: undefined,
    keep() {},
  });
  const readiness = createReadiness(serving, { ageMs: () => undefined, staleAfterMs: 0 });
  const counts = { maxRecords: 1, maxExplainedRecords: 1, maxConnections: 1, requestTimeoutMs: 1 };
  const limits = { logSampleRatio: 0, ...counts, bodyLimitBytes: 1024, lane: false };
  return createApp(limits, { log, registry, serving, readiness, isReady: () => false, observer });
}

interface AppParts {
  readonly log: Logger;
  readonly registry: Registry;
  readonly serving: Serving;
  readonly readiness: () => ReadyReport;
  readonly isReady: () => boolean;
  /** Absent where the API is described and not served. */
  readonly access?: Access;
  readonly tls?: ServerTls | undefined;
  readonly predictions?: PredictionLog | undefined;
  /** Where outcomes go. */
  readonly sink?: EventSink | undefined;
  readonly observer: Pick<Observer, 'outcomesReported'>;
}

/** A replica that can check no key can serve nobody. */
function withKeys({ ready, checks }: ReadyReport, access: Access | undefined): ReadyReport {
  const problem = access?.ready() ?? true;
  if (problem === true) return { ready, checks };
  return { ready: false, checks: { ...checks, keys: { ready: false, message: problem } } };
}

/** It serves, on the CPU; an operator who asked for a GPU hears of it. */
function withProvider({ ready, checks }: Readiness, { problem }: ProviderChoice): ReadyReport {
  return { ready, checks: problem === undefined ? checks : { ...checks, provider: { ready: true, message: problem } } };
}

function withStreams({ ready, checks }: ReadyReport, streams: StreamThreads | undefined): ReadyReport {
  if (streams === undefined) return { ready, checks };
  const check = streams.readiness();
  return { ready: ready && check.ready, checks: { ...checks, streams: check } };
}

type AppLimits = Pick<
  InferenceConfig,
  | 'logSampleRatio'
  | 'maxRecords'
  | 'maxExplainedRecords'
  | 'bodyLimitBytes'
  | 'maxConnections'
  | 'requestTimeoutMs'
  | 'lane'
>;

function createApp(config: AppLimits, parts: AppParts): App {
  const { log, registry, serving, readiness, isReady, access, predictions } = parts;
  const app = createHttpApp({
    ...(access === undefined ? {} : { access }),
    tls: parts.tls,
    service: 'inference',
    version: ASSAY_VERSION,
    log,
    registry,
    ready: () => withKeys(readiness(), access),
    describe: { title: TITLE, description: DESCRIPTION },
    limits: { maxConnections: config.maxConnections, requestTimeoutMs: config.requestTimeoutMs },
    requestLogRatio: config.logSampleRatio,
  });
  const routes = {
    dataplane: serving.dataplane,
    convergence: serving.convergence,
    maxRecords: config.maxRecords,
    maxExplainedRecords: config.maxExplainedRecords,
    bodyLimitBytes: config.bodyLimitBytes,
    ...(predictions === undefined ? {} : { predictions }),
  };
  addNamedRoutes(app, routes);
  addOutcomeRoutes(app, {
    convergence: serving.convergence,
    sink: parts.sink,
    reported: parts.observer.outcomesReported,
  });
  addOipRoutes(app, { ...routes, version: ASSAY_VERSION, isReady });
  if (config.lane) openLane(app, { ...routes, isReady, registry });
  return app;
}
