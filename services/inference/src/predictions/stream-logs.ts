/**
 * The log of what streams predict. Where the event log is the cluster of the streams, the events are in the transaction of
 * their results: there if and only if the results are. Elsewhere they are offered once that is committed, as by REST.
 */
import { type PredictionEntry, TOPICS } from '@assay/contracts';
import type { NewTopicOptions } from '@assay/events/kafka-records';
import type { OutputRecord } from '@assay/kafka';
import type { Logger } from '@assay/runtime';
import type { DrawnPredictions, StreamLog, StreamPrediction } from '../kafka/stream-log.ts';
import { charactersOf, inParts, MAX_EVENT_CHARACTERS, predictionEntry, predictionsEvent } from './prediction-entry.ts';
import type { DropReason, PredictionLog } from './prediction-log.ts';
import { createRate } from './sampling.ts';

export interface TransactionLogOptions {
  readonly shareOf: (endpoint: string) => number;
  readonly maxRowsPerSecond: number;
  /** For the topic, where it is not there yet. */
  readonly newTopics: NewTopicOptions;
  readonly log: Pick<Logger, 'error'>;
  readonly logged: (rows: number) => void;
  readonly dropped: (reason: DropReason, rows: number) => void;
}

/** Of one transaction, so that its events fit in one batch of the topic. */
const MAX_CHARACTERS = 2 * MAX_EVENT_CHARACTERS;

export async function createTransactionLog(options: TransactionLogOptions): Promise<StreamLog> {
  const { shareOf, log, logged, dropped } = options;
  const { ensureEventTopic, toKafkaRecord } = await import('@assay/events/kafka-records');
  const rate = createRate(options.maxRowsPerSecond);

  function entryOf({ features, ...prediction }: StreamPrediction): PredictionEntry | undefined {
    try {
      const entry = predictionEntry({ ...prediction, door: 'kafka', record: features() });
      if (entry === undefined) dropped('unrepresentable', 1);
      return entry;
    } catch (error) {
      log.error({ err: error }, 'a prediction could not be written as text');
      dropped('unrepresentable', 1);
      return undefined;
    }
  }

  function fitting(predictions: readonly StreamPrediction[]): PredictionEntry[] {
    const entries: PredictionEntry[] = [];
    let characters = 0;
    for (const prediction of predictions) {
      const entry = entryOf(prediction);
      if (entry === undefined) continue;
      characters += charactersOf(entry);
      if (charactersOf(entry) > MAX_EVENT_CHARACTERS || characters > MAX_CHARACTERS) {
        characters -= charactersOf(entry);
        dropped('too_large', 1);
      } else entries.push(entry);
    }
    return entries;
  }

  return {
    topics: [TOPICS.predictions],
    prepare: (admin, signal) => ensureEventTopic(admin, TOPICS.predictions, options.newTopics, signal),
    draw(endpoint, predictions): DrawnPredictions {
      const share = shareOf(endpoint);
      if (share === 0) return NOTHING;
      const drawn = share >= 1 ? predictions : predictions.filter(() => Math.random() < share);
      const allowed = rate.take(drawn.length);
      if (allowed < drawn.length) dropped('rate', drawn.length - allowed);
      const records: OutputRecord[] = [];
      let rows = 0;
      for (const entries of inParts(fitting(drawn.slice(0, allowed)))) {
        try {
          records.push({ topic: TOPICS.predictions, ...toKafkaRecord(predictionsEvent(entries)) });
          rows += entries.length;
        } catch (error) {
          // Text that takes several bytes a character. Whatever is wrong with the log, records are scored all the same.
          log.error({ err: error, rows: entries.length }, 'predictions cannot be logged');
          dropped('too_large', entries.length);
        }
      }
      return { records, committed: () => logged(rows) };
    },
  };
}

const NOTHING: DrawnPredictions = { records: [], committed() {} };

/** Offers what is committed to the log of all other doors, which draws, bounds and publishes by itself. */
export function createOfferingLog(log: PredictionLog): StreamLog {
  return {
    topics: [],
    async prepare() {},
    draw: (_endpoint, predictions) => ({
      records: [],
      committed() {
        for (const [scored, rows] of Map.groupBy(predictions, (each) => each.scored)) {
          const sizeBytes = rows.reduce((sum, each) => sum + each.sizeBytes, 0);
          log.draw(scored, sizeBytes)?.log({
            door: 'kafka',
            idOf: (row) => rows[row]?.id ?? '',
            recordOf: (row) => rows[row]?.features(),
            traceparentOf: (row) => rows[row]?.traceparent,
          });
        }
      },
    }),
  };
}
