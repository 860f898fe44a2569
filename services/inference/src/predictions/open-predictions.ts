/** The logs of predictions that a service has: that of its requests, and that of its streams. */
import type { NewTopicOptions } from '@assay/events/kafka-records';
import type { Logger } from '@assay/runtime';
import type { InferenceConfig } from '../config.ts';
import type { StreamLog } from '../kafka/stream-log.ts';
import type { Observer } from '../observer.ts';
import { createPredictionLog, type EventSink, type PredictionLog } from './prediction-log.ts';
import { drawsNothing, type Shares, shareOf } from './sampling.ts';
import { createOfferingLog, createTransactionLog } from './stream-logs.ts';

export interface PredictionLogs {
  readonly requests: PredictionLog;
  /** Loads what it needs of Kafka: only for who has streams. */
  ofStreams(): Promise<StreamLog>;
}

/** Where they go. */
export interface PredictionTarget {
  readonly sink: EventSink;
  /** Given when the sink is the cluster that the streams are on: how its topic is made where it is not there yet. */
  readonly topics: NewTopicOptions | undefined;
}

/** The settings of them. */
export type PredictionLogConfig = Pick<
  InferenceConfig,
  | 'predictionLogRatio'
  | 'predictionLogRatios'
  | 'predictionLogMaxPerSecond'
  | 'predictionLogQueueRows'
  | 'predictionLogQueueBytes'
  | 'predictionLogLingerMs'
>;

/** Undefined where nothing is logged. */
export function openPredictionLogs(
  config: PredictionLogConfig,
  target: PredictionTarget | undefined,
  observer: Observer,
  log: Logger,
): PredictionLogs | undefined {
  const shares: Shares = { ratio: config.predictionLogRatio, byEndpoint: config.predictionLogRatios };
  if (target === undefined || drawsNothing(shares)) return undefined;
  const drawing = {
    shareOf: shareOf(shares),
    maxRowsPerSecond: config.predictionLogMaxPerSecond,
    log,
    logged: observer.predictionsLogged,
    dropped: observer.predictionsDropped,
  };
  const { sink, topics } = target;
  const requests = createPredictionLog({
    ...drawing,
    sink,
    maxQueueRows: config.predictionLogQueueRows,
    maxQueueBytes: config.predictionLogQueueBytes,
    lingerMs: config.predictionLogLingerMs,
  });
  return {
    requests,
    ofStreams: async () =>
      topics === undefined ? createOfferingLog(requests) : createTransactionLog({ ...drawing, newTopics: topics }),
  };
}
