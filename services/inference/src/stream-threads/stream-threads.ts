/**
 * Stream scoring in threads of its own, so that a busy pipeline costs requests no time. Each thread is a member of the
 * pipelines' groups, with claims and transactions of its own: partitions divide over threads as over processes.
 */
import { availableParallelism } from 'node:os';
import type { RoutingSnapshot } from '@assay/contracts';
import type { NewTopicOptions } from '@assay/events/kafka-records';
import { type KafkaSettings, toPlainKafkaSettings } from '@assay/kafka';
import { addToScrapes, combineSnapshots, createMetrics, type Logger, type Registry } from '@assay/runtime';
import type { InferenceConfig } from '../config.ts';
import type { ReadinessCheck } from '../domain/readiness.ts';
import { streamMetrics } from '../kafka/metrics.ts';
import type { PipelineState } from '../kafka/pipeline-run.ts';
import { type RunnablePipeline, runnable } from '../kafka/pipelines.ts';
import { inferenceMetrics } from '../metrics.ts';
import type { EventSink } from '../predictions/prediction-log.ts';
import type { ProviderChoice } from '../versions/choose-provider.ts';
import { cutRouting } from './cut-routing.ts';
import type { PlainConfig, PushedRouting } from './messages.ts';
import type { SharedPackages } from './shared-packages.ts';
import { type StreamThread, startStreamThread } from './supervised-thread.ts';

export interface StreamThreadsOptions {
  readonly config: InferenceConfig;
  /** Undefined: those that come with routing. */
  readonly pipelines: readonly RunnablePipeline[] | undefined;
  readonly kafka: KafkaSettings;
  readonly provider: ProviderChoice;
  readonly packages: SharedPackages;
  /** Where predictions are logged, and how the topic is made where that is the cluster of the streams. */
  readonly predictions: { readonly sink: EventSink; readonly topics: NewTopicOptions | undefined } | undefined;
  readonly registry: Registry;
  readonly log: Logger;
  /** What a thread runs. */
  readonly entry: URL;
}

export interface StreamThreads {
  /** Begins to work; `readiness` says how far it has come. */
  start(): void;
  /** The newest routing, and what answers now. */
  route(wanted: RoutingSnapshot, effective: RoutingSnapshot): void;
  /**
   * Ready once every pipeline has run. What goes wrong later is told and takes no replica out: another one would fare no
   * better, and requests are answered all the same.
   */
  readiness(): ReadinessCheck;
  /** Ends what is under way, leaves the groups. */
  close(): Promise<void>;
}

/** Beyond the time that the service has for its own stop: a consumer takes a while to leave its group. */
const CLOSE_GRACE_MS = 15_000;
/** More is rarely of use: a pipeline has only so many partitions, and each thread holds the models. */
const MOST_THREADS_BY_ITSELF = 4;

/** How many threads a setting of 0 means: a core is left to requests, which would wait behind what runs already. */
export function defaultThreads(cores: number = availableParallelism()): number {
  return Math.max(1, Math.min(MOST_THREADS_BY_ITSELF, cores - 1));
}

export function createStreamThreads(options: StreamThreadsOptions): StreamThreads {
  const { config, registry, log } = options;
  const count = config.streamThreads === 0 ? defaultThreads() : config.streamThreads;
  const { metrics } = createMetrics(streamMetrics, { registry });
  const restarts = metrics.threadRestarts.bind({});
  /** By thread, the state of each pipeline. */
  const states = new Map<number, Map<string, PipelineState>>();
  const haveRun = new Set<string>();
  let pipelines = options.pipelines ?? [];
  let threads: readonly StreamThread[] = [];
  let routing: PushedRouting | undefined;

  addToScrapes(
    registry,
    MERGED,
    async () => combineSnapshots(await Promise.all(threads.map((each) => each.metrics())), combining),
    combining,
  );

  function begin(number: number): StreamThread {
    const { topics } = options.predictions ?? {};
    return startStreamThread({
      start: {
        thread: number,
        config: plainConfig(config, count),
        pipelines,
        kafka: toPlainKafkaSettings(options.kafka),
        provider: options.provider,
        predictions: options.predictions === undefined ? undefined : { topics },
        logLevel: log.level,
      },
      entry: options.entry,
      packages: options.packages,
      events: options.predictions?.sink,
      routing: () => routing,
      retry: { firstMs: config.retryFirstMs, maxMs: config.retryMaxMs },
      closeTimeoutMs: config.closeTimeoutMs + CLOSE_GRACE_MS,
      onState(pipeline, state) {
        const ofThread = states.get(number) ?? new Map<string, PipelineState>();
        states.set(number, ofThread.set(pipeline, state));
        if (!pipelines.some(({ name }) => name === pipeline)) ofThread.delete(pipeline);
        if (state.state === 'running') haveRun.add(pipeline);
      },
      onLine: (line) => writeLine(log, line),
      onFailed(error, retryInMs) {
        states.delete(number);
        restarts.inc();
        log.error(
          { err: error, streamThread: number, retryInMs: Math.round(retryInMs) },
          'a stream thread failed; it is started again, and nothing of its records is lost',
        );
      },
    });
  }

  return {
    start() {
      threads = Array.from({ length: count }, (_, i) => begin(i + 1));
      log.info({ threads: count, pipelines: pipelines.map(({ name }) => name) }, 'stream scoring begins');
    },
    route(wanted, effective) {
      pipelines = options.pipelines ?? (wanted.pipelines ?? []).map(runnable);
      const endpoints = new Set(pipelines.map(({ endpoint }) => endpoint));
      const next = { pipelines, wanted: cutRouting(wanted, endpoints), effective: cutRouting(effective, endpoints) };
      const isNews = JSON.stringify(withoutRevision(next)) !== JSON.stringify(withoutRevision(routing));
      routing = next;
      if (isNews) for (const thread of threads) thread.route(next);
    },
    readiness() {
      const ready = pipelines.every(({ name }) => haveRun.has(name));
      const failed = threads.flatMap(({ number, problem }) =>
        problem === undefined ? [] : `stream thread ${number} failed and is started again: ${problem}`,
      );
      const waiting = pipelines.flatMap(({ name }) => {
        const found = Array.from(states.values(), (ofThread) => ofThread.get(name) ?? STARTING);
        return describe(name, found.length === 0 ? [STARTING] : found) ?? [];
      });
      const told = [...failed, ...waiting];
      return told.length === 0 ? { ready } : { ready, message: told.join('; ') };
    },
    async close() {
      const closed = await Promise.allSettled(threads.map((thread) => thread.close()));
      for (const { reason } of closed.filter((each) => each.status === 'rejected')) {
        log.error(
          { err: reason },
          'stream scoring did not stop cleanly; what it left open is settled by who comes next',
        );
      }
    },
  };
}

const STARTING: PipelineState = { state: 'starting' };

/** Undefined where it runs in every thread that says how it stands. */
function describe(name: string, states: readonly PipelineState[]): string | undefined {
  const waiting = states.find((each) => each.state === 'waiting');
  if (waiting !== undefined) return `pipeline "${name}" waits: ${waiting.reason}`;
  const other = states.find(({ state }) => state !== 'running');
  return other === undefined ? undefined : `pipeline "${name}" is ${other.state}`;
}

function plainConfig({ serviceKey: _, eventsUrl: __, ...config }: InferenceConfig, threads: number): PlainConfig {
  // What is bounded for the streams of the process is shared out.
  const perThread = Math.max(1, Math.floor(config.predictionLogMaxPerSecond / threads));
  return { ...config, predictionLogMaxPerSecond: perThread };
}

function withoutRevision(routing: PushedRouting | undefined) {
  return [
    routing?.pipelines,
    ...[routing?.wanted, routing?.effective].map((each) => [each?.endpoints, each?.versions]),
  ];
}

/** A thread's line, as the main thread writes its own. */
function writeLine(log: Logger, line: string): void {
  const { level, time: _time, pid: _pid, service: _service, msg, ...fields } = JSON.parse(line);
  if (isLevel(level)) log[level](fields, msg);
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

function isLevel(level: unknown): level is (typeof LEVELS)[number] {
  return LEVELS.some((each) => each === level);
}

/** What the main thread alone can say, and what is known of the whole process. */
const OF_MAIN = new Set(
  (['routingRevision', 'routingAge', 'routingFailures', 'providerMissing'] as const).map(
    (key) => inferenceMetrics.metrics[key].name,
  ),
);
const MERGED = new Set(
  [...Object.values(inferenceMetrics.metrics), ...Object.values(streamMetrics.metrics)]
    .map(({ name }) => name)
    .filter((name) => !OF_MAIN.has(name)),
);
/** Of which each thread has a view of its own, and not a part. */
const VIEWS = new Set<string>([
  inferenceMetrics.metrics.heldBack.name,
  inferenceMetrics.metrics.loadedVersions.name,
  streamMetrics.metrics.state.name,
]);

function combining(name: string): 'sum' | 'max' {
  return VIEWS.has(name) ? 'max' : 'sum';
}
