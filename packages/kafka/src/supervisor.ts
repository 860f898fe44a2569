/** Begins a pipeline's run again when it ended by an error: crash only, with a growing wait and a reason to show. */
import { setTimeout as delay } from 'node:timers/promises';
import { mapKafkaError } from './errors.ts';
import { type ExactlyOnceObserver, type ExactlyOncePipeline, runExactlyOnce } from './exactly-once.ts';
import type { Transform } from './records.ts';

export type PipelineState =
  | { readonly state: 'starting' }
  | { readonly state: 'running'; readonly partitions: readonly number[] }
  | { readonly state: 'waiting'; readonly reason: string; readonly retryInMs: number }
  | { readonly state: 'stopped' };

export interface SupervisorObserver extends ExactlyOnceObserver {
  onState?(state: PipelineState): void;
}

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;
/** A run that lasted so long was healthy: the next wait is short again. */
const HEALTHY_AFTER_MS = 30_000;

/** Runs until `signal` aborts. Never rejects: every failure is a state, a wait and another run. */
export async function superviseExactlyOnce(
  pipeline: ExactlyOncePipeline,
  transform: Transform,
  signal: AbortSignal,
  observer: SupervisorObserver = {},
): Promise<void> {
  let waitMs = FIRST_WAIT_MS;
  while (!signal.aborted) {
    const began = performance.now();
    observer.onState?.({ state: 'starting' });
    try {
      await runExactlyOnce(pipeline, transform, signal, {
        ...observer,
        onAssigned: (partitions) => {
          observer.onState?.({ state: 'running', partitions });
          observer.onAssigned?.(partitions);
        },
      });
    } catch (error) {
      if (signal.aborted) break;
      if (performance.now() - began > HEALTHY_AFTER_MS) waitMs = FIRST_WAIT_MS;
      const retryInMs = Math.round(waitMs * (0.5 + Math.random() / 2));
      observer.onState?.({ state: 'waiting', reason: mapKafkaError(error, pipeline.kafka.brokers).message, retryInMs });
      await delay(retryInMs, undefined, { signal }).catch(() => undefined); // an abort ends the loop
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
    }
  }
  observer.onState?.({ state: 'stopped' });
}
