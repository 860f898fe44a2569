/**
 * All services in one process, wired as in production: each listens on a port of its own and calls the others through the
 * client, over loopback. All but inference share the main thread; inference has a thread of its own, since the durable
 * commits of SQLite block.
 */
import { join, resolve } from 'node:path';
import { type BatchConfig, createService as createBatch } from '@assay/batch';
import { type EventBus, openDatabaseEventBus } from '@assay/events';
import type { InferenceConfig } from '@assay/inference';
import type { KafkaSettings } from '@assay/kafka';
import { createService as createMonitoring, type MonitoringConfig } from '@assay/monitoring';
import { createService as createRegistry, type RegistryConfig } from '@assay/registry';
import { ASSAY_VERSION, createLogger, type Logger, lockDataDir, type Service } from '@assay/runtime';
import { createService as createTraining, type TrainingConfig } from '@assay/training';
import type { StandaloneConfig } from './config.ts';
import { createInferenceThread } from './inference-thread.ts';
import { openKeys, type StandaloneKeys } from './keys.ts';
import { removeRunFile, writeRunFile } from './write-run-file.ts';

/** By section, as `loadConfigs` gives them. */
export interface StandaloneConfigs {
  readonly standalone: StandaloneConfig;
  readonly registry: RegistryConfig;
  readonly training: TrainingConfig;
  readonly batch: BatchConfig;
  readonly inference: InferenceConfig;
  readonly monitoring: MonitoringConfig;
}

export interface StandaloneDependencies {
  /** Told what a person should know while it runs: a crash, a restart. */
  readonly report?: (text: string) => void;
  /** A logger for each service; the inference thread makes its own. */
  readonly log?: (service: string) => Logger;
  /** Called when all services run and before `run.json` appears. */
  readonly prepare?: (services: StandaloneServices, signal: AbortSignal, keys?: StandaloneKeys) => Promise<void>;
  /** How to reach Kafka, for the pipelines that the settings of inference name. */
  readonly kafka?: KafkaSettings;
  /** Instead of the inference thread's own entry. */
  readonly inferenceEntry?: URL;
}

/** The addresses of the running services. */
export interface StandaloneServices {
  readonly registry: string;
  readonly inference: string;
  readonly training: string;
  readonly batch: string;
  readonly monitoring: string;
}

export interface Standalone extends Service {
  readonly services: StandaloneServices;
  readonly inferenceRestarts: number;
}

/**
 * Takes the data folder; `start` starts the registry, then monitoring, inference, training and batch, which call it. `close`
 * goes the other way round.
 * @throws AssayError UNAVAILABLE for a folder in use or a port that is taken, FAILED_PRECONDITION for a folder that
 *   cannot be used; what was started until then is stopped by `close`
 */
export async function createStandalone(
  configs: StandaloneConfigs,
  deps: StandaloneDependencies = {},
): Promise<Standalone> {
  const dataDir = resolve(configs.standalone.dataDir);
  const report = deps.report ?? (() => undefined);
  const logOf = deps.log ?? ((service) => createLogger({ service, level: configs.registry.logLevel }));
  const log = logOf('standalone');
  const opened = new AsyncDisposableStack();
  const stopping = new AbortController();
  const urls = { registry: '', inference: '', training: '', batch: '', monitoring: '' };
  let restarts = () => 0;

  async function openBus(): Promise<EventBus> {
    const bus = await openDatabaseEventBus({ url: `sqlite:${join(dataDir, 'events.sqlite')}`, log });
    opened.defer(() => bus.close());
    return bus;
  }

  async function startRegistry(bus: EventBus, keys: StandaloneKeys | undefined): Promise<void> {
    const bootstrap = keys === undefined ? {} : { bootstrapKeysDir: keys.dir };
    const registry = await createRegistry(
      { ...configs.registry, ...bootstrap, dataDir },
      { bus, log: logOf('registry') },
    );
    opened.defer(() => registry.close());
    await registry.start();
    urls.registry = reachable(httpOf(registry));
  }

  async function startMonitoring(bus: EventBus, keys: StandaloneKeys | undefined): Promise<void> {
    const monitoring = await createMonitoring(
      {
        ...configs.monitoring,
        dataDir,
        registryUrl: urls.registry,
        serviceKey: keys?.monitoring ?? configs.monitoring.serviceKey,
      },
      { bus, log: logOf('monitoring') },
    );
    opened.defer(() => monitoring.close());
    await monitoring.start();
    urls.monitoring = reachable(httpOf(monitoring));
  }

  async function startInference(bus: EventBus, keys: StandaloneKeys | undefined): Promise<void> {
    const inference = createInferenceThread({
      config: {
        ...configs.inference,
        registryUrl: urls.registry,
        cacheDir: join(dataDir, 'inference'),
        serviceKey: keys?.inference ?? configs.inference.serviceKey,
      },
      log,
      events: bus,
      kafka: deps.kafka,
      restartFirstMs: configs.standalone.restartFirstMs,
      restartMaxMs: configs.standalone.restartMaxMs,
      report,
      ...(deps.inferenceEntry === undefined ? {} : { entry: deps.inferenceEntry }),
    });
    restarts = () => inference.restarts;
    opened.defer(() => inference.close());
    await inference.start();
    urls.inference = reachable(httpOf(inference));
  }

  async function startTraining(bus: EventBus, keys: StandaloneKeys | undefined): Promise<void> {
    const training = await createTraining(
      {
        ...configs.training,
        dataDir,
        registryUrl: urls.registry,
        serviceKey: keys?.training ?? configs.training.serviceKey,
      },
      { bus, log: logOf('training') },
    );
    opened.defer(() => training.close());
    await training.start();
    urls.training = reachable(httpOf(training));
  }

  async function startBatch(bus: EventBus, keys: StandaloneKeys | undefined): Promise<void> {
    const batch = await createBatch(
      {
        ...configs.batch,
        dataDir,
        registryUrl: urls.registry,
        serviceKey: keys?.batch ?? configs.batch.serviceKey,
      },
      { bus, log: logOf('batch') },
    );
    opened.defer(() => batch.close());
    await batch.start();
    urls.batch = reachable(httpOf(batch));
  }

  const lock = await lockDataDir(dataDir);
  opened.defer(() => lock.release());
  return {
    name: 'standalone',
    services: urls,
    get inferenceRestarts() {
      return restarts();
    },
    get addresses() {
      return { ...urls };
    },
    async start() {
      opened.defer(() => removeRunFile(dataDir));
      await removeRunFile(dataDir); // of a process that was killed
      const keys = await openKeys({
        dataDir,
        wanted: configs.standalone.keys,
        mountedDir: configs.registry.bootstrapKeysDir,
      });
      const bus = await openBus();
      await startRegistry(bus, keys);
      // Before inference, and so closed after it: what inference logs while it stops is still taken.
      await startMonitoring(bus, keys);
      // At once: one is another thread. All have ended, well or not, before anything is closed again.
      const starting = [startInference(bus, keys), startTraining(bus, keys), startBatch(bus, keys)];
      const started = await Promise.allSettled(starting);
      for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
      await deps.prepare?.(urls, stopping.signal, keys);
      if (stopping.signal.aborted) return;
      await writeRunFile(dataDir, {
        pid: process.pid,
        version: ASSAY_VERSION,
        services: {
          registry: { http: urls.registry },
          inference: { http: urls.inference },
          training: { http: urls.training },
          batch: { http: urls.batch },
          monitoring: { http: urls.monitoring },
        },
      });
      log.info({ dataDir, ...urls }, 'ready');
    },
    async close() {
      stopping.abort();
      await removeRunFile(dataDir);
      await opened.disposeAsync();
    },
  };
}

/** Where a service is called from this machine that listens on all its addresses. */
function reachable(url: string): string {
  return url.replace('://0.0.0.0:', '://127.0.0.1:').replace('://[::]:', '://[::1]:');
}

function httpOf(service: Service): string {
  const { http } = service.addresses;
  if (http === undefined) throw new Error(`${service.name} has started without an HTTP address`);
  return http;
}
