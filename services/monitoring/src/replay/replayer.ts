/** Scores a logged prediction again, with the version that made it, and compares the bits. */
import { AssayError, type PredictionEntry } from '@assay/contracts';
import { parseExactJson } from '@assay/model-package';
import { differingOutputs } from '../domain/compare-outputs.ts';
import type { MonitoringMetrics } from '../metrics.ts';
import type { ReplayVersions } from './versions.ts';

export interface ReplayedPrediction {
  readonly prediction: PredictionEntry;
  /** Exact JSON text, as in the log. */
  readonly outputs: string;
  readonly executionClass: string;
  readonly batchInvariant: boolean;
  readonly differences: readonly string[];
}

export interface Replayer {
  /**
   * One at a time; others wait.
   * @throws AssayError what having the version throws; OVERLOADED when too many wait
   */
  replay(prediction: PredictionEntry, signal: AbortSignal): Promise<ReplayedPrediction>;
  close(): Promise<void>;
}

export function createReplayer(options: {
  readonly versions: ReplayVersions;
  readonly maxWaiting: number;
  readonly metrics: MonitoringMetrics;
}): Replayer {
  const { versions, maxWaiting, metrics } = options;
  const [same, different, failed] = ['same', 'different', 'failed'].map((outcome) => metrics.replays.bind({ outcome }));
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;

  async function run(prediction: PredictionEntry, signal: AbortSignal): Promise<ReplayedPrediction> {
    signal.throwIfAborted();
    const scorer = await versions.scorer(prediction, signal);
    const { exactJson, exactOutputs } = await import('@assay/scoring');
    const batch = scorer.newBatch(1);
    batch.appendRecords([parseExactJson(prediction.record)]);
    const outputs = exactOutputs(scorer.signature, await scorer.run(batch), 0);
    const byName = (text: string): Map<string, string> => {
      const values = parseExactJson(text) as Record<string, unknown>; // written by exactOutputs: an object
      return new Map(Object.entries(values).map(([name, value]) => [name, exactJson(value)]));
    };
    return {
      prediction,
      outputs,
      executionClass: scorer.executionClass.id,
      batchInvariant: scorer.batchInvariant,
      differences: differingOutputs(byName(prediction.outputs), byName(outputs)),
    };
  }

  return {
    async replay(prediction, signal) {
      if (waiting >= maxWaiting) {
        throw new AssayError('OVERLOADED', `${waiting} replays wait already`, { retryAfterMs: 1000 });
      }
      waiting++;
      const turn = last.then(() => run(prediction, signal));
      last = turn.catch(() => undefined);
      try {
        const replayed = await turn;
        (replayed.differences.length === 0 ? same : different)?.inc();
        return replayed;
      } catch (error) {
        failed?.inc();
        throw error;
      } finally {
        waiting--;
      }
    },
    async close() {
      await last;
      versions.close();
    },
  };
}
