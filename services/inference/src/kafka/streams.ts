/** Stream scoring: every pipeline of the file, and how they stand. */
import type { KafkaSettings } from '@assay/kafka';
import { createMetrics, type Logger, type Registry } from '@assay/runtime';
import type { ReadinessCheck } from '../domain/readiness.ts';
import type { Serving } from '../domain/serving.ts';
import { streamMetrics } from './metrics.ts';
import { type PipelineObserver, type PipelineState, runPipeline } from './pipeline-run.ts';
import type { PipelineSpec } from './pipelines.ts';
import type { StreamLog } from './stream-log.ts';
import { createTurns } from './turns.ts';

export interface StreamsOptions {
  readonly pipelines: readonly PipelineSpec[];
  readonly kafka: KafkaSettings;
  readonly serving: Pick<Serving, 'dataplane' | 'live'>;
  readonly registry: Registry;
  readonly log: Logger;
  /** Absent where predictions are not logged. */
  readonly predictions?: StreamLog | undefined;
}

export interface Streams {
  /** Begins to work; `readiness` says how far it has come. */
  start(): void;
  /**
   * Ready once every pipeline has run. What goes wrong later is told and takes no replica out: another one would fare no
   * better, and requests are answered all the same.
   */
  readiness(): ReadinessCheck;
  /** Ends what is under way, leaves the groups. */
  close(): Promise<void>;
}

const STATES = ['starting', 'running', 'waiting', 'stopped'] as const;

export function createStreams(options: StreamsOptions): Streams {
  const { serving, kafka, log } = options;
  const { metrics } = createMetrics(streamMetrics, { registry: options.registry });
  const turns = createTurns(() => serving.live.queuedRows);
  const stop = new AbortController();
  const pipelines = options.pipelines.map((spec) => ({ spec, ...observe(metrics, spec.name, log) }));
  let running: Promise<unknown> = Promise.resolve();
  return {
    start() {
      running = Promise.all(
        pipelines.map(({ spec, observer }) =>
          runPipeline(
            { pipeline: spec, kafka, dataplane: serving.dataplane, turns, predictions: options.predictions, observer },
            stop.signal,
          ),
        ),
      );
    },
    readiness() {
      const ready = pipelines.every(({ hasRun }) => hasRun());
      const waiting = pipelines.flatMap(({ spec, state }) => describe(spec.name, state()) ?? []);
      return waiting.length === 0 ? { ready } : { ready, message: waiting.join('; ') };
    },
    async close() {
      stop.abort();
      await running;
    },
  };
}

function describe(name: string, state: PipelineState): string | undefined {
  if (state.state === 'running') return undefined;
  return `pipeline "${name}" ${state.state === 'waiting' ? `waits: ${state.reason}` : `is ${state.state}`}`;
}

interface Observed {
  readonly observer: PipelineObserver;
  state(): PipelineState;
  hasRun(): boolean;
}

type StreamMetrics = ReturnType<typeof createMetrics<typeof streamMetrics>>['metrics'];

function observe(metrics: StreamMetrics, pipeline: string, log: Logger): Observed {
  const transform = metrics.transform.bind({ pipeline });
  const commit = metrics.commit.bind({ pipeline });
  let state: PipelineState = { state: 'starting' };
  let hasRun = false;
  let told = '';
  let owned: readonly number[] = [];
  const setLag = (partition: number, lag: number): void => {
    metrics.lag.bind({ pipeline, partition: String(partition) }).set(lag);
  };
  const tell = (): void => {
    for (const each of STATES) metrics.state.bind({ pipeline, state: each }).set(each === state.state ? 1 : 0);
    const text = JSON.stringify(state);
    // A pipeline that tries and tries has one line for each new reason, not for each try.
    if (state.state === 'starting' || text === told) return;
    told = text;
    if (state.state === 'waiting') log.warn({ pipeline, reason: state.reason }, 'pipeline waits');
    else log.info({ pipeline, ...state }, 'pipeline');
  };
  return {
    state: () => state,
    hasRun: () => hasRun,
    observer: {
      onState(next) {
        // Between two tries the reason is still what an operator wants to know.
        if (next.state === 'starting' && state.state === 'waiting') return;
        state = next;
        hasRun ||= next.state === 'running';
        tell();
      },
      onAssigned(partitions) {
        for (const partition of owned) {
          if (!partitions.includes(partition)) metrics.lag.remove({ pipeline, partition: String(partition) });
        }
        owned = partitions;
      },
      onCommitted({ partition, outcomes, transformMs, commitMs, lag }) {
        for (const [outcome, count] of outcomes) metrics.records.bind({ pipeline, outcome }).inc(count);
        transform.observe(transformMs / 1000);
        commit.observe(commitMs / 1000);
        setLag(partition, lag);
      },
      onLag: setLag,
      onFailed(error) {
        log.error({ pipeline, err: error }, 'records could not be judged; the pipeline begins again');
      },
      onWait(code) {
        metrics.waits.bind({ pipeline, code }).inc();
      },
    },
  };
}
