/** The batch service's parts, put together: opened, started, drained, closed. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createRegistryClient } from '@assay/client';
import { type Database, type Migration, openDatabase } from '@assay/database';
import { type EventBus, outboxMigration, startOutboxPublisher } from '@assay/events';
import { drainAndClose, listen } from '@assay/http';
import {
  type JobRunner,
  type LaunchExit,
  type Launcher,
  nextLifecycle,
  type ProcessLauncher,
  processLauncher,
  startJobRunner,
} from '@assay/jobs';
import {
  createLogger,
  createMetrics,
  entryUrl,
  environmentName,
  type Logger,
  lockDataDir,
  type Service,
} from '@assay/runtime';
import { openAccess } from './access.ts';
import { type BatchConfig, batchConfig } from './config.ts';
import { conclude } from './domain/conclude.ts';
import { createJobWatch } from './domain/job-watch.ts';
import { createBatchApp } from './http/app.ts';
import type { Parts } from './http/parts.ts';
import { attemptLogs } from './job-logs.ts';
import { observeJobs } from './job-metrics.ts';
import { prepareLaunch } from './launch.ts';
import { batchMetrics } from './metrics.ts';
import { createJobs, type RunnableJob } from './store/jobs.ts';
import { jobsMigration } from './store/migrations/001-jobs.ts';
import type { BatchTables } from './store/tables.ts';

export interface BatchDeps {
  /** Where events go. It stays its owner's to close. */
  readonly bus: EventBus;
  readonly log?: Logger;
  /** Instead of child processes. It stays its owner's to close. */
  readonly launcher?: Launcher;
}

/** The whole schema of the service's database, oldest first. */
const MIGRATIONS: readonly Migration[] = [outboxMigration, jobsMigration];

/**
 * Opens the record of jobs (made and migrated where it is missing); `start` listens and begins to run jobs, those that
 * were not finished when the last process ended included.
 * @throws AssayError FAILED_PRECONDITION for a database that cannot be used; UNAVAILABLE when another process has the
 *   data folder. `start` throws them for an address that others can reach, and a port that is taken
 */
export async function createBatch(config: BatchConfig, deps: BatchDeps): Promise<Service> {
  const log = deps.log ?? createLogger({ service: 'batch', level: config.logLevel });
  const dir = join(config.dataDir, 'batch');
  // What is opened is closed in the other order, by `close` or when a later part fails to open.
  await using opened = new AsyncDisposableStack();
  const lock = await lockDataDir(dir);
  opened.defer(() => lock.release());
  const database = opened.use(
    await openDatabase<BatchTables>(config.databaseUrl ?? `sqlite:${join(dir, 'batch.sqlite')}`, {
      migrations: MIGRATIONS,
    }),
  );
  const service = assemble(config, deps, { log, dir, database });
  const resources = opened.move();
  return {
    ...service,
    async close() {
      await service.close();
      await resources.disposeAsync();
    },
  };
}

function assemble(
  config: BatchConfig,
  deps: BatchDeps,
  opened: { readonly log: Logger; readonly dir: string; readonly database: Database<BatchTables> },
): Service {
  const { log, dir, database } = opened;
  const { registry, metrics } = createMetrics(batchMetrics);
  const versions = createRegistryClient({ url: config.registryUrl, bearerToken: config.serviceKey?.reveal() });
  const watch = createJobWatch({ maxWaiters: config.maxWaiters });
  const jobs = createJobs({
    database,
    onChange(job) {
      watch.changed(job.id);
      if (job.state === 'queued' || job.result !== null) runner?.wake();
    },
    onMove: (job, from) => observed.moved(job, from),
  });
  const observed = observeJobs(metrics, jobs);
  const own = deps.launcher === undefined ? ownLauncher(config, dir, log) : undefined;
  const launcher = deps.launcher ?? own;
  if (launcher === undefined) throw new Error('unreachable: there is always a launcher');
  let runner: JobRunner | undefined;

  const parts: Parts = {
    config,
    jobs,
    watch,
    metrics,
    async cancel(id) {
      const job = await jobs.requestCancel(id, (lifecycle) =>
        nextLifecycle(lifecycle, { type: 'cancel-requested' }, { maxAttempts: config.maxAttempts }),
      );
      runner?.wake();
      return job;
    },
    logs: (id, options) => attemptLogs({ jobs, launcher, watch }, id, options),
  };
  const guard = openAccess(config, log, registry);
  const app = createBatchApp({ log, registry, access: guard.access, parts: () => parts });
  const publisher = startOutboxPublisher({ database, bus: deps.bus, log });
  const addresses: Record<string, string> = {};
  return {
    name: 'batch',
    addresses,
    async start() {
      await guard.start();
      const batchUrl = await listen(app, {
        host: config.host,
        port: config.port,
        portSetting: environmentName(batchConfig, 'port'),
        keysSetting: `set ${environmentName(batchConfig, 'serviceKey')}_FILE to the key of this service`,
      });
      addresses.http = batchUrl;
      runner = startJobRunner<RunnableJob>({
        store: jobs,
        launcher,
        prepare: (job) => prepareLaunch(job, { jobs, registry: versions, config, batchUrl }),
        conclude: ({ job, reportedFailure }, exit: LaunchExit) =>
          conclude({ result: job.result, failure: reportedFailure }, exit, job.attempts),
        maxRunning: config.maxConcurrentJobs,
        maxAttempts: config.maxAttempts,
        graceMs: config.cancelGraceMs,
        log,
      });
      log.info({ address: batchUrl }, 'batch listens');
    },
    async close() {
      const { drainDelayMs, closeTimeoutMs } = config;
      const drained = drainAndClose(app, { drainDelayMs, closeTimeoutMs });
      await delay(drainDelayMs);
      await runner?.close();
      // Jobs do not outlive the service; the next start finds them lost and begins them again.
      await own?.close({ graceMs: 2000 });
      watch.close();
      await versions.close();
      await drained;
      await guard.close();
      await publisher.close();
    },
  };
}

function ownLauncher(config: BatchConfig, dir: string, log: Logger): ProcessLauncher {
  return processLauncher({
    dir: join(dir, 'launches'),
    entry: entryUrl('services/batch', 'job'),
    niceness: config.jobNiceness,
    log,
  });
}
