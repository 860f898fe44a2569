/**
 * The predictions of a job that go into the prediction log. They are sent when their shard is finished, and never stop a
 * job: what cannot be sent is dropped and counted. A shard that is scored again sends the same ones again.
 */
import { AssayError, type LoggedBatchPrediction, MAX_BATCH_PREDICTIONS } from '@assay/contracts';

export interface PredictionCounts {
  readonly logged: number;
  readonly dropped: number;
}

/** Takes the predictions of a shard; resolves when they are sent, or dropped. */
export type PredictionLog = (predictions: readonly LoggedBatchPrediction[]) => Promise<PredictionCounts>;

export interface PredictionLogOptions {
  readonly send: (predictions: LoggedBatchPrediction[]) => Promise<void>;
  readonly write: (line: string) => void;
}

/** Of record and outputs in one call; a single one that is larger is dropped. */
const MAX_CALL_CHARACTERS = 200_000;

export function createPredictionLog({ send, write }: PredictionLogOptions): PredictionLog {
  return async (predictions) => {
    const calls = callsOf(predictions);
    let logged = 0;
    for (const call of calls) {
      try {
        await send(call);
        logged += call.length;
      } catch (thrown) {
        // Whoever does not take these does not take the next ones either: the job does not wait for each.
        const message = AssayError.from(thrown).message;
        write(`${predictions.length - logged} predictions could not be logged: ${message}`);
        break;
      }
    }
    return { logged, dropped: predictions.length - logged };
  };
}

function callsOf(predictions: readonly LoggedBatchPrediction[]): LoggedBatchPrediction[][] {
  const calls: LoggedBatchPrediction[][] = [];
  let current: LoggedBatchPrediction[] = [];
  let characters = 0;
  for (const prediction of predictions) {
    const size = prediction.record.length + prediction.outputs.length;
    if (size > MAX_CALL_CHARACTERS) continue;
    if (current.length === MAX_BATCH_PREDICTIONS || characters + size > MAX_CALL_CHARACTERS) {
      calls.push(current);
      current = [];
      characters = 0;
    }
    current.push(prediction);
    characters += size;
  }
  return current.length === 0 ? calls : [...calls, current];
}
