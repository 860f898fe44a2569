/** What a stream thread is: the versions of its pipelines' endpoints, and the pipelines, until it is told to close. */
import type { MessagePort } from 'node:worker_threads';
import { fromPlainKafkaSettings } from '@assay/kafka';
import { createLogger, type Logger, type LogLevel, lowerPriority, Registry, snapshotMetrics } from '@assay/runtime';
import { Convergence } from '../domain/convergence.ts';
import { Dataplane } from '../domain/dataplane.ts';
import { LiveSet } from '../domain/live-set.ts';
import { createPipelines } from '../kafka/streams.ts';
import { createObserver, type Observer } from '../observer.ts';
import { openPredictionLogs } from '../predictions/open-predictions.ts';
import { graphsDir } from '../versions/graphs-dir.ts';
import { createVersionLoader } from '../versions/load-version.ts';
import { createMainThread, type MainThread } from './main-thread.ts';
import type { FromStreamThread, PushedRouting, StreamThreadStart, ToStreamThread } from './messages.ts';

/** A backlog has always more of them, and a model of trees takes a quarter less time for a row of so many. */
const LONG_RUN_ROWS = 512;

/** Resolves when it is told to close and nothing is left that runs. */
export async function runStreamThread(start: StreamThreadStart, port: MessagePort): Promise<void> {
  const { config } = start;
  const say = (message: FromStreamThread): void => port.postMessage(message);
  const log = createThreadLogger(start, say);
  const problem = lowerPriority(config.streamNiceness);
  if (problem !== undefined && start.thread === 1) {
    log.warn({ problem }, 'streams run at the priority of requests: a busy pipeline makes requests slower');
  }
  const registry = new Registry();
  const observer = createObserver(registry, log);
  const main = createMainThread(say);
  const serving = createThreadServing(start, main, observer, log);
  const predictions = openPredictionLogs(
    config,
    start.predictions === undefined ? undefined : { sink: main.events, topics: start.predictions.topics },
    observer,
    log,
  );
  observer.watch({
    queuedRows: () => serving.live.queuedRows,
    loadedVersions: () => serving.live.size,
    restingVersions: () => 0, // what a pipeline scores with stays in memory
    modelBytes: () => 0,
    heldBackEndpoints: () => serving.convergence.status().filter((each) => each.problem !== undefined).length,
    queuedPredictions: () => predictions?.requests.queuedRows ?? 0,
    heldResponses: () => [], // no record of a stream is answered from a cache
    isProviderMissing: false, // told by the main thread
  });
  const stop = new AbortController();
  const pipelines = createPipelines({
    kafka: fromPlainKafkaSettings(start.kafka),
    dataplane: serving.dataplane,
    registry,
    log,
    predictions: await predictions?.ofStreams(),
    onState: (pipeline, state) => say({ type: 'state', pipeline, state }),
  });
  pipelines.run(start.pipelines);
  const tellMetrics = async (number: number | 'last'): Promise<void> =>
    say({ type: 'metrics', number, metrics: await snapshotMetrics(registry) });
  port.on('message', (message: ToStreamThread) => {
    if (message.type === 'route') {
      serving.route(message.routing, stop.signal);
      pipelines.run(message.routing.pipelines);
    } else if (message.type === 'answer') main.answered(message);
    else if (message.type === 'scrape') void tellMetrics(message.number);
    else stop.abort();
  });
  await aborted(stop.signal);
  await pipelines.close();
  serving.convergence.close();
  await serving.live.close();
  await predictions?.requests.close(config.closeTimeoutMs);
  await tellMetrics('last');
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Its lines are the main thread's to write. */
function createThreadLogger({ thread, logLevel }: StreamThreadStart, say: (message: FromStreamThread) => void): Logger {
  return createLogger({
    service: 'inference',
    level: logLevel as LogLevel, // that of the main thread's logger
    destination: { write: (line: string) => say({ type: 'log', line }) },
  }).child({ streamThread: thread });
}

interface ThreadServing {
  readonly live: LiveSet;
  readonly convergence: Convergence;
  readonly dataplane: Dataplane;
  route(routing: PushedRouting, signal: AbortSignal): void;
}

function createThreadServing(
  { config, provider }: StreamThreadStart,
  main: MainThread,
  observer: Observer,
  log: Logger,
): ThreadServing {
  const live = new LiveSet({
    load: createVersionLoader({
      packages: main.packages,
      maxBatchRows: config.maxBatchRows,
      longRunRows: LONG_RUN_ROWS,
      threads: config.threads,
      provider,
      // This is a thread of its own already.
      place: config.isolation === 'process' ? 'process' : 'loop',
      observer,
      // Each partition has a slice or two waiting and no more, so nothing is ever refused for it.
      maxQueueRows: Number.MAX_SAFE_INTEGER,
      graphCacheDir: graphsDir(config),
      log,
    }),
    observer,
    maxConcurrentLoads: config.maxConcurrentLoads,
    loadTimeoutMs: config.loadTimeoutMs,
    retry: { firstMs: config.retryFirstMs, maxMs: config.retryMaxMs },
  });
  const convergence: Convergence = new Convergence({
    live,
    observer,
    onApplied: () => main.packages.retain?.(new Set(convergence.inUse().map(({ digest }) => digest))),
  });
  const dataplane = new Dataplane({ convergence, live, observer, maxTimeoutMs: config.maxTimeoutMs });
  let newest: PushedRouting | undefined;
  return {
    live,
    convergence,
    dataplane,
    route(routing, signal) {
      const isFirst = newest === undefined;
      newest = routing;
      if (!isFirst) return convergence.want(routing.wanted);
      // What answers elsewhere comes first: should what is wanted name a version that fails, this is what is fallen back on.
      convergence.want(routing.effective);
      void convergence.whenSettled(signal).then(
        () => convergence.want(newest?.wanted ?? routing.wanted),
        () => undefined, // it closes
      );
    },
  };
}
