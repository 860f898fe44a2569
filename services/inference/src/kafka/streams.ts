/** The pipelines of a thread, and what they tell: their states, metrics and log lines. */
import type { KafkaSettings } from '@assay/kafka';
import { createMetrics, type Logger, type Registry } from '@assay/runtime';
import type { Dataplane } from '../domain/dataplane.ts';
import { streamMetrics } from './metrics.ts';
import { type PipelineObserver, type PipelineState, runPipeline } from './pipeline-run.ts';
import type { PipelineSpec } from './pipelines.ts';
import type { StreamLog } from './stream-log.ts';

export interface PipelinesOptions {
  readonly pipelines: readonly PipelineSpec[];
  readonly kafka: KafkaSettings;
  readonly dataplane: Dataplane;
  readonly registry: Registry;
  readonly log: Logger;
  /** Absent where predictions are not logged. */
  readonly predictions?: StreamLog | undefined;
  /** Told whenever the state of a pipeline is another one. */
  readonly onState: (pipeline: string, state: PipelineState) => void;
}

const STATES = ['starting', 'running', 'waiting', 'stopped'] as const;

/** Runs them until `signal` aborts; then ends what is under way and leaves the groups. Never rejects. */
export async function runPipelines(options: PipelinesOptions, signal: AbortSignal): Promise<void> {
  const { kafka, dataplane, predictions } = options;
  const { metrics } = createMetrics(streamMetrics, { registry: options.registry });
  await Promise.all(
    options.pipelines.map((pipeline) =>
      runPipeline(
        { pipeline, kafka, dataplane, predictions, observer: observe(metrics, pipeline.name, options) },
        signal,
      ),
    ),
  );
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
