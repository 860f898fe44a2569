/** The parts of a service of jobs, put together: opened, started, drained, closed. */
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openAccess } from '@assay/access';
import { createRegistryClient } from '@assay/client';
import { type JobProgress, WAITING_STAGE } from '@assay/contracts';
import { type Database, openDatabase } from '@assay/database';
import { type EventBus, startOutboxPublisher } from '@assay/events';
import { drainAndClose, listen, openServerTls, type ServerTls } from '@assay/http';
import { type JobRunner, type Launcher, type Lifecycle, nextLifecycle, startJobRunner } from '@assay/jobs';
import {
  createLogger,
  createRegistry as createMetricsRegistry,
  currentTrace,
  environmentName,
  inTrace,
  type Logger,
  lockDataDir,
  type Service,
} from '@assay/runtime';
import { conclude } from './conclude.ts';
import { createJobApp } from './http/app.ts';
import type { Parts } from './http/parts.ts';
import { attemptLogs } from './job-logs.ts';
import { createJobWatch } from './job-watch.ts';
import type { JobKind, JobTypes } from './kind.ts';
import { prepareLaunch } from './launch.ts';
import { type ChosenLauncher, openLauncher, PROCESS_POLL_MS } from './launchers.ts';
import { countMove, countUnfinished } from './metrics.ts';
import { createCheckpoints } from './store/checkpoints.ts';
import { createJobs, type RunnableJob } from './store/jobs.ts';
import type { JobTables } from './store/tables.ts';

export interface JobServiceDeps {
  /** Where events go. It stays its owner's to close. */
  readonly bus: EventBus;
  readonly log?: Logger;
  /** Instead of the one that the settings choose. It stays its owner's to close. */
  readonly launcher?: Launcher;
}

interface Opened {
  readonly log: Logger;
  readonly tls: ServerTls | undefined;
  readonly database: Database<JobTables>;
  readonly launchers: ChosenLauncher;
}

/**
 * Opens the record of jobs (made and migrated where it is missing) and the launcher; `start` listens and begins to run
 * jobs, those that were not finished when the last process ended included.
 * @throws AssayError FAILED_PRECONDITION for a database or TLS files that cannot be used, or settings that do not go together;
 *   INVALID_ARGUMENT for a wrong jobsFile; UNAVAILABLE when another process has the data folder. `start` throws them for an
 *   address that others can reach, and a port that is taken
 */
export async function createJobService<T extends JobTypes>(
  kind: JobKind<T>,
  config: T['config'],
  deps: JobServiceDeps,
): Promise<Service> {
  const log = deps.log ?? createLogger({ service: kind.name, level: config.logLevel });
  const tls = await openServerTls(kind.config, config);
  const dir = join(config.dataDir, kind.name);
  // What is opened is closed in the other order, by `close` or when a later part fails to open.
  await using opened = new AsyncDisposableStack();
  const lock = await lockDataDir(dir);
  opened.defer(() => lock.release());
  const url = config.databaseUrl?.reveal() ?? `sqlite:${join(dir, `${kind.name}.sqlite`)}`;
  const database = opened.use(await openDatabase<JobTables>(url, { migrations: kind.migrations }));
  const launchers =
    deps.launcher === undefined ? await openLauncher(kind, config, { dir, log }) : given(deps.launcher, dir);
  opened.defer(() => launchers.close());
  const service = assemble(kind, config, deps.bus, { log, tls, database, launchers });
  const resources = opened.move();
  return {
    ...service,
    async close() {
      await service.close();
      await resources.disposeAsync();
    },
  };
}

function given(launcher: Launcher, dir: string): ChosenLauncher {
  return {
    launcher,
    serviceUrl: undefined,
    sharedDir: (name) => resolve(dir, name),
    pollMs: PROCESS_POLL_MS,
    async close() {},
  };
}

function assemble<T extends JobTypes>(
  kind: JobKind<T>,
  config: T['config'],
  bus: EventBus,
  { log, tls, database, launchers }: Opened,
): Service {
  const { launcher, sharedDir } = launchers;
  const metrics = createMetricsRegistry();
  const observer = kind.observe(metrics);
  const registry = createRegistryClient({
    url: config.registryUrl,
    bearerToken: config.serviceKey?.reveal(),
    trace: currentTrace,
  });
  const watch = createJobWatch({ maxWaiters: config.maxWaiters });
  const jobs = createJobs({
    kind,
    database,
    onChange(job) {
      watch.changed(job.id);
      if (job.state === 'queued' || job.result !== null) runner?.wake();
    },
    onMove: (job, from) => countMove(observer.jobs, job, from),
  });
  countUnfinished(observer.jobs, jobs);
  let runner: JobRunner | undefined;

  const parts: Parts<T> = {
    config,
    jobs,
    checkpoints: createCheckpoints(database, jobs),
    bus,
    registry,
    watch,
    observer,
    async cancel(id, acting) {
      const cancelled = (lifecycle: Lifecycle) =>
        nextLifecycle(lifecycle, { type: 'cancel-requested' }, { maxAttempts: config.maxAttempts });
      const job = await jobs.requestCancel(id, cancelled, acting);
      runner?.wake();
      return job;
    },
    logs: (id, options) => attemptLogs({ jobs, launcher, watch }, id, options),
  };
  const cacheFile = join(config.dataDir, kind.name, 'keys.json');
  const guard = openAccess(config, { cacheFile, log, registry: metrics });
  const app = createJobApp({ kind, log, registry: metrics, access: guard.access, tls, parts: () => parts });
  const publisher = startOutboxPublisher({ database, bus, log });
  const addresses: Record<string, string> = {};
  return {
    name: kind.name,
    addresses,
    async start() {
      await guard.start();
      const url = await listen(app, {
        host: config.host,
        port: config.port,
        portSetting: environmentName(kind.config, 'port'),
        keysSetting: `set ${environmentName(kind.config, 'serviceKey')}_FILE to the key of this service`,
      });
      addresses.http = url;
      const place = { config, registry, sharedDir, serviceUrl: launchers.serviceUrl ?? url };
      runner = startJobRunner<RunnableJob<T>>({
        store: jobs,
        launcher,
        prepare: (job) => inTrace(job.trace, () => prepareLaunch(job, kind, jobs, place)),
        conclude: ({ job, reportedFailure }, exit) =>
          conclude({ result: job.result, failure: reportedFailure }, exit, job.attempts),
        onWaiting: ({ id }, reason) => jobs.tellWaiting(id, waiting(reason)),
        maxRunning: config.maxConcurrentJobs,
        maxAttempts: config.maxAttempts,
        graceMs: config.cancelGraceMs,
        pollMs: launchers.pollMs,
        log,
      });
      log.info({ address: url }, `${kind.name} listens`);
    },
    async close() {
      const { drainDelayMs, closeTimeoutMs } = config;
      const drained = drainAndClose(app, { drainDelayMs, closeTimeoutMs });
      await delay(drainDelayMs);
      await runner?.close();
      await launchers.close();
      watch.close();
      await drained;
      await guard.close();
      await publisher.close();
      await registry.close();
    },
  };
}

const MAX_MESSAGE_LENGTH = 2000;

function waiting(reason: string): JobProgress {
  return { stage: WAITING_STAGE, percent: 0, message: reason.slice(0, MAX_MESSAGE_LENGTH) };
}
