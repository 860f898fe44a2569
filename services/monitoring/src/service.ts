/** The monitoring service's parts, put together: opened, started, drained, closed. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openAccess } from '@assay/access';
import { createRegistryClient, type RegistryClient } from '@assay/client';
import { type Database, type Migration, openDatabase } from '@assay/database';
import type { EventBus } from '@assay/events';
import { drainAndClose, listen, openServerTls, type ServerTls } from '@assay/http';
import {
  createLogger,
  createMetrics,
  currentTrace,
  environmentName,
  type Logger,
  lockDataDir,
  type Service,
} from '@assay/runtime';
import { type MonitoringConfig, monitoringConfig } from './config.ts';
import { createMonitoringApp } from './http/app.ts';
import type { Parts } from './http/parts.ts';
import { type Keeper, startKeeper } from './keep-predictions.ts';
import { monitoringMetrics } from './metrics.ts';
import { createReplayer } from './replay/replayer.ts';
import { createReplayVersions } from './replay/versions.ts';
import { type FileStore, openFileStore } from './store/file-store.ts';
import { predictionsMigration } from './store/migrations/001-predictions.ts';
import { createParquet, type Parquet } from './store/parquet.ts';
import { createPredictions } from './store/predictions.ts';
import type { MonitoringTables } from './store/tables.ts';

export interface MonitoringDeps {
  /** Where predictions come from. It stays its owner's to close. */
  readonly bus: EventBus;
  readonly log?: Logger;
}

/** How long a start waits for the event bus before it goes on without it, not ready. */
const BUS_WAIT_MS = 2000;

/** The whole schema of the service's database, oldest first. */
const MIGRATIONS: readonly Migration[] = [predictionsMigration];

interface Opened {
  readonly log: Logger;
  readonly tls: ServerTls | undefined;
  readonly dir: string;
  readonly database: Database<MonitoringTables>;
  readonly files: FileStore;
  readonly parquet: Parquet;
  readonly client: RegistryClient;
}

/**
 * Opens the prediction log; `start` listens and begins to take predictions.
 * @throws AssayError FAILED_PRECONDITION for a database, folder or TLS files that cannot be used; UNAVAILABLE when another process has
 *   the data folder. `start` throws them for an address that others can reach, and a port that is taken
 */
export async function createMonitoring(config: MonitoringConfig, deps: MonitoringDeps): Promise<Service> {
  const log = deps.log ?? createLogger({ service: 'monitoring', level: config.logLevel });
  const tls = await openServerTls(monitoringConfig, config);
  const dir = join(config.dataDir, 'monitoring');
  // What is opened is closed in the other order, by `close` or when a later part fails to open.
  await using opened = new AsyncDisposableStack();
  const lock = await lockDataDir(dir);
  opened.defer(() => lock.release());
  const url = config.databaseUrl?.reveal() ?? `sqlite:${join(dir, 'monitoring.sqlite')}`;
  const database = opened.use(await openDatabase<MonitoringTables>(url, { migrations: MIGRATIONS }));
  const files = await openFileStore(config.blobsUrl ?? `file:${join(dir, 'predictions')}`, join(dir, 'tmp'));
  const parquet = createParquet();
  opened.defer(() => parquet.close());
  const client = opened.use(
    createRegistryClient({
      url: config.registryUrl,
      bearerToken: config.serviceKey?.reveal(),
      trace: currentTrace,
    }),
  );
  const service = assemble(config, deps, { log, tls, dir, database, files, parquet, client });
  const resources = opened.move();
  return {
    ...service,
    async close() {
      await service.close();
      await resources.disposeAsync();
    },
  };
}

function assemble(config: MonitoringConfig, deps: MonitoringDeps, opened: Opened): Service {
  const { log, tls, dir, client } = opened;
  const { registry, metrics } = createMetrics(monitoringMetrics);
  const predictions = createPredictions(opened);
  const versions = createReplayVersions({
    registry: client,
    dir: join(dir, 'replay'),
    maxModels: config.maxReplayModels,
  });
  const replayer = createReplayer({ versions, maxWaiting: config.maxWaitingReplays, metrics });
  const [waiting, files, fileBytes] = [metrics.waiting.bind({}), metrics.files.bind({}), metrics.fileBytes.bind({})];
  metrics.waiting.onScrape(async () => waiting.set((await predictions.spooled()).rows));
  metrics.files.onScrape(async () => {
    const kept = await predictions.kept();
    files.set(kept.files);
    fileBytes.set(kept.sizeBytes);
  });
  let keeper: Keeper | undefined;
  const stopping = new AbortController();
  let starting: Promise<void> = Promise.resolve();
  const parts: Parts = {
    predictions,
    replayer,
    events: () => keeper !== undefined || 'the event bus has not answered yet, so no predictions are taken',
  };
  const guard = openAccess(config, { cacheFile: join(config.dataDir, 'monitoring', 'keys.json'), log, registry });
  const app = createMonitoringApp({ log, registry, access: guard.access, tls, parts: () => parts });
  const addresses: Record<string, string> = {};
  return {
    name: 'monitoring',
    addresses,
    async start() {
      await guard.start();
      addresses.http = await listen(app, {
        host: config.host,
        port: config.port,
        portSetting: environmentName(monitoringConfig, 'port'),
        keysSetting: `set ${environmentName(monitoringConfig, 'serviceKey')}_FILE to the key of this service`,
      });
      const { signal } = stopping;
      starting = startKeeper({ ...config, bus: deps.bus, predictions, metrics, log, signal }).then((started) => {
        keeper = started;
      });
      starting.catch((error: unknown) => {
        if (!signal.aborted) log.error({ err: error }, 'no predictions are taken');
      });
      // A bus that is away is waited for; what was kept before is found meanwhile.
      await Promise.race([starting, delay(BUS_WAIT_MS, undefined, { signal, ref: false }).catch(() => undefined)]);
      log.info({ address: addresses.http }, 'monitoring listens');
    },
    async close() {
      const { drainDelayMs, closeTimeoutMs } = config;
      const drained = drainAndClose(app, { drainDelayMs, closeTimeoutMs });
      await delay(drainDelayMs);
      stopping.abort();
      await starting.catch(() => undefined);
      await keeper?.close();
      await drained;
      await guard.close();
      await replayer.close();
    },
  };
}
