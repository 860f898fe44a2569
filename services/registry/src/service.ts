/** The registry's parts, put together: opened, started, drained, closed. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type BlobStore, openBlobStore } from '@assay/blobs';
import { type Database, type Migration, openDatabase } from '@assay/database';
import { type EventBus, outboxMigration, startOutboxPublisher } from '@assay/events';
import {
  createAccess,
  drainAndClose,
  type FollowedKeys,
  followKeys,
  listen,
  openServerTls,
  type ServerTls,
} from '@assay/http';
import { createLogger, createMetrics, environmentName, type Logger, lockDataDir, type Service } from '@assay/runtime';
import { openBootstrapFolder } from './bootstrap-folder.ts';
import { startCheckpointer } from './checkpoints/checkpointer.ts';
import { makeSigningKey, readSigningKeys, type SigningKeys } from './checkpoints/signing-key.ts';
import type { CollectionTimes } from './collection/collect.ts';
import { startCollector } from './collection/collector.ts';
import { type RegistryConfig, registryConfig } from './config.ts';
import { createRevisionWatch, type RevisionWatch } from './domain/revision-watch.ts';
import { createRegistryApp } from './http/app.ts';
import type { Parts } from './http/parts.ts';
import { startReadingPackages } from './lineage/read-packages.ts';
import { registryMetrics } from './metrics.ts';
import { withBasicPassword } from './mlflow/basic-password.ts';
import { type MakePackage, startPackager } from './mlflow/packager.ts';
import type { CheckPackage, Registration } from './registration/register-version.ts';
import { createSlots } from './registration/slots.ts';
import { clearStaging } from './registration/staging.ts';
import { readAuditHead } from './store/audit.ts';
import type { Store } from './store/change.ts';
import { hasKeys, readKeyRevision, readKeySnapshot } from './store/keys.ts';
import { registryMigration } from './store/migrations/001-registry.ts';
import { accessMigration } from './store/migrations/002-access.ts';
import { datasetsMigration } from './store/migrations/003-datasets.ts';
import { mlflowMigration } from './store/migrations/010-mlflow.ts';
import { auditMigration } from './store/migrations/021-audit.ts';
import { lineageMigration } from './store/migrations/022-lineage.ts';
import { webhooksMigration } from './store/migrations/023-webhooks.ts';
import { endpointLimitsMigration } from './store/migrations/025-endpoint-limits.ts';
import { shadowsMigration } from './store/migrations/028-shadows.ts';
import { scaleMigration } from './store/migrations/029-scale.ts';
import { collectionMigration } from './store/migrations/030-collection.ts';
import { gatesMigration } from './store/migrations/031-gates.ts';
import { keyRevisionsMigration } from './store/migrations/032-key-revisions.ts';
import { endpointCacheMigration } from './store/migrations/033-endpoint-cache.ts';
import { namedDocumentsMigration } from './store/migrations/034-named-documents.ts';
import { outboxLag } from './store/outbox-lag.ts';
import { readRoutingRevision } from './store/routing.ts';
import type { RegistryTables } from './store/tables.ts';
import { startTakingFacts } from './told-facts.ts';
import { startWebhookDeliverer } from './webhooks/deliverer.ts';
import { deliveryLimits, openWebhooks, watchWebhooks } from './webhooks/open-webhooks.ts';

export interface RegistryDeps {
  /** Where events go. It stays its owner's to close. */
  readonly bus: EventBus;
  readonly log?: Logger;
  /** Instead of the one at `databaseUrl`; with REGISTRY_MIGRATIONS applied. It stays its owner's to close. */
  readonly database?: Database<RegistryTables>;
  /** Instead of the one at `blobsUrl`. */
  readonly blobs?: BlobStore;
  /** Instead of loading the graph in a child process. */
  readonly checkPackage?: CheckPackage;
  /** Instead of those that are right for any store. */
  readonly collectionTimes?: CollectionTimes;
}

/** The whole schema of the registry's database, oldest first. */
export const REGISTRY_MIGRATIONS: readonly Migration[] = [
  outboxMigration,
  registryMigration,
  accessMigration,
  datasetsMigration,
  mlflowMigration,
  auditMigration,
  lineageMigration,
  webhooksMigration,
  endpointLimitsMigration,
  shadowsMigration,
  scaleMigration,
  collectionMigration,
  gatesMigration,
  keyRevisionsMigration,
  endpointCacheMigration,
  namedDocumentsMigration,
];

export function openRegistryDatabase(url: string): Promise<Database<RegistryTables>> {
  return openDatabase<RegistryTables>(url, { migrations: REGISTRY_MIGRATIONS });
}

/** Where the database is when no setting says so. */
export function databaseUrlIn(registryDir: string): string {
  return `sqlite:${join(registryDir, 'registry.sqlite')}`;
}

/**
 * Opens the registry's database and blobs (made and migrated where they are missing) and lays out its routes; `start`
 * listens.
 * @throws AssayError FAILED_PRECONDITION for a database or TLS files that cannot be used; UNAVAILABLE when another process has the
 *   data folder. `start` throws them for an address that others can reach, and a port that is taken
 */
export async function createRegistry(config: RegistryConfig, deps: RegistryDeps): Promise<Service> {
  const log = deps.log ?? createLogger({ service: 'registry', level: config.logLevel });
  const tls = await openServerTls(registryConfig, config);
  const dir = join(config.dataDir, 'registry');
  // What is opened is closed in the other order, by `close` or when a later part fails to open.
  await using opened = new AsyncDisposableStack();
  const lock = await lockDataDir(dir);
  opened.defer(() => lock.release());
  const database =
    deps.database ?? opened.use(await openRegistryDatabase(config.databaseUrl?.reveal() ?? databaseUrlIn(dir)));
  const service = await assemble(config, deps, { log, tls, dir, database });
  const resources = opened.move();
  return {
    ...service,
    async close() {
      await service.close();
      await resources.disposeAsync();
    },
  };
}

interface Opened {
  readonly log: Logger;
  readonly tls: ServerTls | undefined;
  readonly dir: string;
  readonly database: Database<RegistryTables>;
}

async function assemble(config: RegistryConfig, deps: RegistryDeps, opened: Opened): Promise<Service> {
  const { log, tls, dir, database } = opened;
  const blobs = deps.blobs ?? (await openBlobStore(config.blobsUrl ?? `file:${join(dir, 'blobs')}`));
  const stagingDir = join(dir, 'staging');
  await clearStaging(stagingDir);
  const auditKeys = await signingKeysOf(config, dir);
  const webhooks = await openWebhooks(config, dir);

  const { registry, metrics } = createMetrics(registryMetrics);
  const revision = await readRoutingRevision(database.db);
  const waiters = metrics.routingWaiters.bind({});
  const routing = createRevisionWatch({
    revision,
    maxWaiters: config.maxRoutingWaiters,
    onWaiters: (count) => waiters.set(count),
  });
  const routingRevision = metrics.routingRevision.bind({});
  routingRevision.set(revision);
  const [waitingEvents, eventLag] = [metrics.outboxEvents.bind({}), metrics.outboxLag.bind({})];
  metrics.outboxEvents.onScrape(async () => {
    const { events, oldestSeconds } = await outboxLag(database, Date.now());
    waitingEvents.set(events);
    eventLag.set(oldestSeconds);
  });
  watchWebhooks(metrics, database);
  const keyRevision = await readKeyRevision(database.db);
  const keyWatch = createRevisionWatch({ revision: keyRevision, maxWaiters: config.maxRoutingWaiters });
  /** Of its own, so that the registry learns of a change of keys however many wait. */
  const ownKeyWatch = createRevisionWatch({ revision: keyRevision, maxWaiters: 10 });
  const store: Store = {
    database,
    onRerouted(next) {
      routing.advance(next);
      routingRevision.set(routing.revision);
    },
    onRekeyed(next) {
      keyWatch.advance(next);
      ownKeyWatch.advance(next);
    },
  };
  const bootstrap =
    config.bootstrapKeysDir === undefined ? undefined : await openBootstrapFolder(config.bootstrapKeysDir, store, log);
  const needsKeys = bootstrap !== undefined || (await hasKeys(database.db));
  const keys = needsKeys ? followOwnKeys(store, ownKeyWatch, log) : undefined;
  await keys?.start();
  const registration: Registration = {
    store,
    blobs,
    stagingDir,
    slots: createSlots({ slots: config.maxConcurrentChecks, maxWaiting: config.maxWaitingChecks }),
    limits: { maxPackageBytes: config.maxPackageBytes },
    checkPackage: deps.checkPackage ?? checkInChild(config),
  };
  const packager = startPackager({ registration, config, log, makePackage: makeInChild(config) });
  const collector = startCollector({ store, blobs, log, metrics, config, times: deps.collectionTimes });
  const parts: Parts = {
    config,
    store,
    blobs,
    routing,
    keyWatch,
    keys,
    metrics,
    registration,
    packager,
    checkpointKeys: auditKeys?.trusted,
    webhooks,
    collector,
  };
  const app = createRegistryApp({
    log,
    registry,
    maxBodyBytes: config.maxBodyBytes,
    uploadTimeoutMs: config.uploadTimeoutMs,
    tls,
    access: withBasicPassword(createAccess({ log, registry, ...(keys === undefined ? {} : { keys }) })),
    parts: () => parts,
  });
  const deliverer = startWebhookDeliverer({ store, sending: webhooks, metrics, log, limits: deliveryLimits(config) });
  const packageReader = startReadingPackages({ store, blobs, log });
  const publisher = startOutboxPublisher({ database, bus: deps.bus, log });
  const facts = startTakingFacts({ database, bus: deps.bus, metrics, log });
  const checkpointer =
    auditKeys === undefined
      ? undefined
      : startCheckpointer({
          readHead: () => readAuditHead(database.db),
          blobs,
          signing: auditKeys.signing,
          log,
          everyMs: config.auditCheckpointMs,
          everyEntries: config.auditCheckpointEntries,
        });
  const stopping = new AbortController();
  let following: Promise<void> = Promise.resolve();
  const addresses: Record<string, string> = {};
  return {
    name: 'registry',
    addresses,
    async start() {
      addresses.http = await listen(app, {
        host: config.host,
        port: config.port,
        portSetting: environmentName(registryConfig, 'port'),
        keysSetting: `set ${environmentName(registryConfig, 'bootstrapKeysDir')} to a folder of keys`,
      });
      following = followRouting(store, log, stopping.signal);
      log.info({ address: addresses.http }, 'registry listens');
    },
    async close() {
      const { drainDelayMs, closeTimeoutMs } = config;
      const drained = drainAndClose(app, { drainDelayMs, closeTimeoutMs });
      // Long polls are answered with the snapshot as it is once the doors close; before, they would only ask again.
      await delay(drainDelayMs);
      stopping.abort();
      routing.close();
      keyWatch.close();
      await Promise.all([packager, packageReader, deliverer, collector, facts].map((part) => part.close()));
      await drained;
      await Promise.all([keys?.close(), bootstrap?.close(), following]);
      await checkpointer?.close(); // when nothing writes entries any more
      await publisher.close();
    },
  };
}

/** Without its own database a registry serves nobody; how long it still knows its callers matters little. */
const OWN_STALENESS_MAX_MS = 3_600_000;
/** How soon a change by another replica of the registry is seen. */
const OTHERS_CHANGES_MS = 1000;

/** Tells those who wait here of what another replica changed, until the signal aborts. */
async function followRouting({ database, onRerouted }: Store, log: Logger, signal: AbortSignal): Promise<void> {
  for (;;) {
    await delay(OTHERS_CHANGES_MS, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      onRerouted(await readRoutingRevision(database.db));
    } catch (error) {
      log.debug({ err: error }, 'the routing revision could not be read'); // `/readyz` says that the database is away
    }
  }
}

/** The key of the setting; else one of the data folder, where that holds the database as well; else none. */
async function signingKeysOf(config: RegistryConfig, dir: string): Promise<SigningKeys | undefined> {
  if (config.auditKeyFile !== undefined) return readSigningKeys(config.auditKeyFile, config.auditFormerKeysFile);
  if (config.databaseUrl !== undefined) return undefined;
  const file = join(dir, 'audit-key.pem');
  await makeSigningKey(file);
  return readSigningKeys(file, config.auditFormerKeysFile);
}

function followOwnKeys(store: Store, watch: RevisionWatch, log: Logger): FollowedKeys {
  return followKeys({
    async fetch({ after, waitMs }, signal) {
      if (after !== undefined) await watch.waitBeyond(after, Math.min(waitMs, OTHERS_CHANGES_MS), signal);
      const revision = await readKeyRevision(store.database.db);
      if (revision === after) return undefined;
      store.onRekeyed(revision); // of another replica, perhaps: those who wait here want to know
      return readKeySnapshot(store.database);
    },
    stalenessMaxMs: OWN_STALENESS_MAX_MS,
    log,
  });
}

function makeInChild(config: RegistryConfig): MakePackage {
  const limits = { timeoutMs: config.checkTimeoutMs, maxMemoryBytes: config.checkMemoryBytes };
  return async (onnxPath, options) => {
    const { packageOnnxInChild } = await import('@assay/scoring');
    return packageOnnxInChild(onnxPath, { ...limits, ...options });
  };
}

function checkInChild(config: RegistryConfig): CheckPackage {
  const limits = { timeoutMs: config.checkTimeoutMs, maxMemoryBytes: config.checkMemoryBytes };
  return async (packageDir, signal) => {
    // Only when a package comes: the registry runs no graph itself, and need not load what does.
    const { loadInChild } = await import('@assay/scoring');
    return loadInChild(packageDir, { ...limits, signal });
  };
}
