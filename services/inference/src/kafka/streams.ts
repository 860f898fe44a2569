/** The pipelines of a thread, and what they tell: their states, metrics and log lines. */
import { isDeepStrictEqual } from 'node:util';
import type { KafkaSettings } from '@assay/kafka';
import { createMetrics, type Logger, type Registry } from '@assay/runtime';
import type { Dataplane } from '../domain/dataplane.ts';
import { streamMetrics } from './metrics.ts';
import { type PipelineObserver, type PipelineState, runPipeline } from './pipeline-run.ts';
import type { RunnablePipeline } from './pipelines.ts';
import type { StreamLog } from './stream-log.ts';

export interface PipelinesOptions {
  readonly kafka: KafkaSettings;
  readonly dataplane: Dataplane;
  readonly registry: Registry;
  readonly log: Logger;
  /** Absent where predictions are not logged. */
  readonly predictions?: StreamLog | undefined;
  /** Told whenever the state of a pipeline is another one. */
  readonly onState: (pipeline: string, state: PipelineState) => void;
}

export interface Pipelines {
  /**
   * These run from now on: what is new begins, what is gone ends what is under way and leaves its group, what changed does
   * both. All others go on undisturbed.
   */
  run(pipelines: readonly RunnablePipeline[]): void;
  /** All end. Never rejects. */
  close(): Promise<void>;
}

const STATES = ['starting', 'running', 'waiting', 'stopped'] as const;

interface Running {
  readonly pipeline: RunnablePipeline;
  readonly stop: AbortController;
}

export function createPipelines(options: PipelinesOptions): Pipelines {
  const { kafka, dataplane, predictions } = options;
  const { metrics } = createMetrics(streamMetrics, { registry: options.registry });
  let wanted: ReadonlyMap<string, RunnablePipeline> = new Map();
  const running = new Map<string, Running>();
  const lives = new Map<string, Promise<void>>();

  /** One run after another, for as long as a pipeline of this name is wanted. */
  async function live(name: string): Promise<void> {
    for (let pipeline = wanted.get(name); pipeline !== undefined; pipeline = wanted.get(name)) {
      const stop = new AbortController();
      running.set(name, { pipeline, stop });
      await runPipeline(
        { pipeline, kafka, dataplane, predictions, observer: observe(metrics, name, options) },
        stop.signal,
      );
    }
    running.delete(name);
    lives.delete(name);
    for (const state of STATES) metrics.state.remove({ pipeline: name, state });
  }

  return {
    run(pipelines) {
      wanted = new Map(pipelines.map((pipeline) => [pipeline.name, pipeline]));
      for (const [name, { pipeline, stop }] of running) {
        if (!isDeepStrictEqual(wanted.get(name), pipeline)) stop.abort();
      }
      for (const name of wanted.keys()) if (!lives.has(name)) lives.set(name, live(name));
    },
    async close() {
      wanted = new Map();
      for (const { stop } of running.values()) stop.abort();
      await Promise.all(lives.values());
    },
  };
}

type StreamMetrics = ReturnType<typeof createMetrics<typeof streamMetrics>>['metrics'];

function observe(
  metrics: StreamMetrics,
  pipeline: string,
  { log, onState }: Pick<PipelinesOptions, 'log' | 'onState'>,
): PipelineObserver {
  const transform = metrics.transform.bind({ pipeline });
  const commit = metrics.commit.bind({ pipeline });
  let state: PipelineState = { state: 'starting' };
  let told = '';
  let owned: readonly number[] = [];
  const setLag = (partition: number, lag: number): void => {
    metrics.lag.bind({ pipeline, partition: String(partition) }).set(lag);
  };
  const tell = (): void => {
    for (const each of STATES) metrics.state.bind({ pipeline, state: each }).set(each === state.state ? 1 : 0);
    onState(pipeline, state);
    const text = JSON.stringify(state);
    // A pipeline that tries and tries has one line for each new reason, not for each try.
    if (state.state === 'starting' || text === told) return;
    told = text;
    if (state.state === 'waiting') log.warn({ pipeline, reason: state.reason }, 'pipeline waits');
    else log.info({ pipeline, ...state }, 'pipeline');
  };
  return {
    onState(next) {
      // Between two tries the reason is still what an operator wants to know.
      if (next.state === 'starting' && state.state === 'waiting') return;
      state = next;
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
  };
}
