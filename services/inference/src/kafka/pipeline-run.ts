/**
 * The life of one pipeline: it waits until the broker answers and its endpoint serves, then consumes, scores and produces
 * exactly once, and begins again whatever happens. While its endpoint cannot score it leaves the group, so that nothing
 * waits half done.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError, ERROR_KINDS, type ErrorCode } from '@assay/contracts';
import {
  type InputRecord,
  type KafkaSettings,
  type OutputRecord,
  openKafka,
  type SupervisorObserver,
  superviseExactlyOnce,
} from '@assay/kafka';
import { type Backoff, backoffMs } from '../domain/backoff.ts';
import type { Dataplane } from '../domain/dataplane.ts';
import type { ServedEndpoint } from '../domain/routing-table.ts';
import type { LoadedVersion } from '../domain/version.ts';
import type { PipelineSpec } from './pipelines.ts';
import { createPredictionIds } from './prediction-id.ts';
import { type Judged, type Outcome, type StreamPrediction, scoreRecords } from './score-records.ts';
import { rowsWithin, sliceRows, type Turns } from './turns.ts';

export type PipelineState =
  | { readonly state: 'starting' }
  | { readonly state: 'running'; readonly partitions: readonly number[] }
  | { readonly state: 'waiting'; readonly reason: string }
  | { readonly state: 'stopped' };

/** Where predictions are logged: records of topics of its own, in the transaction of the results. */
export interface PredictionRecords {
  readonly topics: readonly string[];
  /** What to write for these predictions, if anything. It must be quick and must not throw. */
  toRecords(predictions: readonly StreamPrediction[], endpoint: string): readonly OutputRecord[];
}

export interface PipelineObserver {
  onState(state: PipelineState): void;
  onAssigned(partitions: readonly number[]): void;
  onCommitted(commit: Committed): void;
  /** A bug: the run ends with it, and the next one meets it again. */
  onFailed(error: unknown): void;
  /** Records wait, since they cannot be scored now. */
  onWait(code: ErrorCode): void;
}

export interface Committed {
  readonly partition: number;
  readonly outcomes: ReadonlyMap<Outcome, number>;
  readonly transformMs: number;
  readonly commitMs: number;
  readonly lag: number;
}

export interface PipelineRunOptions {
  readonly pipeline: PipelineSpec;
  readonly kafka: KafkaSettings;
  readonly dataplane: Dataplane;
  readonly turns: Turns;
  readonly predictions: PredictionRecords | undefined;
  readonly observer: PipelineObserver;
}

const RETRY: Backoff = { firstMs: 100, maxMs: 2000 };
const ADMIN_PACE = { initialRetryTimeMs: 100, maxRetryTimeMs: 1000, retries: 2 };
/**
 * How long records wait within their chunk; then the pipeline leaves the group. Well below the session time-out, since the
 * group hears nothing meanwhile.
 */
const PATIENCE_MS = 3000;
/** A chunk is no more than is scored within it, for the same reason; all partitions of a process share its thread. */
const CHUNK_MS = 500;
const ENDPOINT_POLL_MS = 200;

/** Runs until `signal` aborts. Never rejects. */
export async function runPipeline(options: PipelineRunOptions, signal: AbortSignal): Promise<void> {
  const { observer } = options;
  observer.onState({ state: 'starting' });
  const clusterId = await untilBrokerAnswers(options, signal);
  while (clusterId !== undefined && !signal.aborted) {
    const version = await untilEndpointServes(options, signal);
    if (version !== undefined)
      await lap(options, createPredictionIds(options.pipeline.name, clusterId), version, signal);
  }
  observer.onState({ state: 'stopped' });
}

/** The cluster's id, once; undefined when `signal` aborted first. */
async function untilBrokerAnswers(options: PipelineRunOptions, signal: AbortSignal): Promise<string | undefined> {
  for (let attempt = 1; !signal.aborted; attempt++) {
    const admin = (await openKafka(options.kafka, ADMIN_PACE)).admin();
    try {
      await admin.connect();
      return (await admin.describeCluster()).clusterId;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      options.observer.onState({ state: 'waiting', reason: `Kafka at ${options.kafka.brokers.join(', ')}: ${text}` });
      await pause(backoffMs(RETRY, attempt), signal);
    } finally {
      await admin.disconnect().catch(() => undefined); // nothing hangs on it
    }
  }
  return undefined;
}

async function untilEndpointServes(
  { dataplane, pipeline, observer }: PipelineRunOptions,
  signal: AbortSignal,
): Promise<LoadedVersion | undefined> {
  let told = '';
  while (!signal.aborted) {
    let reason: string;
    try {
      const version = servedBy(dataplane.endpoint(pipeline.endpoint));
      if (version !== undefined) return version;
      reason = `endpoint "${pipeline.endpoint}" has no version in memory`;
    } catch (error) {
      reason = AssayError.from(error).message;
    }
    if (reason !== told) observer.onState({ state: 'waiting', reason });
    told = reason;
    await pause(ENDPOINT_POLL_MS, signal);
  }
  return undefined;
}

/** The version that most records go to decides how many are scored at a time. */
function servedBy({ variants }: ServedEndpoint): LoadedVersion | undefined {
  const live = variants.filter((variant) => variant.live !== undefined);
  return live.toSorted((a, b) => b.weight - a.weight)[0]?.live?.loaded;
}

/** One membership in the group: until `signal` aborts or the endpoint cannot score for longer than records wait. */
async function lap(
  options: PipelineRunOptions,
  predictionId: (record: InputRecord) => string,
  version: LoadedVersion,
  signal: AbortSignal,
): Promise<void> {
  const { pipeline, kafka, observer, predictions } = options;
  const leave = new AbortController();
  /** By partition: the outcomes of the chunk that is being committed. */
  const pending = new Map<number, ReadonlyMap<Outcome, number>>();
  const supervised: SupervisorObserver = {
    onState(state) {
      if (state.state !== 'stopped') observer.onState(state);
    },
    onAssigned: (partitions) => observer.onAssigned(partitions),
    onCommitted: ({ partition, transformMs, commitMs, lag }) =>
      observer.onCommitted({ partition, outcomes: pending.get(partition) ?? new Map(), transformMs, commitMs, lag }),
  };
  await superviseExactlyOnce(
    {
      kafka,
      input: pipeline.input,
      outputs: [...new Set([pipeline.output, pipeline.deadLetters, ...(predictions?.topics ?? [])])],
      group: pipeline.group,
      ...(pipeline.sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs: pipeline.sessionTimeoutMs }),
      maxBatchRecords: Math.min(pipeline.maxBatchRecords, rowsWithin(version, CHUNK_MS)),
    },
    async (chunk, ended) => {
      try {
        const judged = await scoreChunk(options, predictionId, chunk, ended);
        const partition = chunk[0]?.partition;
        if (partition !== undefined) pending.set(partition, countOutcomes(judged));
        return outputsOf(judged, predictions, pipeline.endpoint);
      } catch (error) {
        if (isWorthWaiting(error)) leave.abort();
        else if (!ended.aborted) observer.onFailed(error);
        throw error;
      }
    },
    AbortSignal.any([signal, leave.signal]),
    supervised,
  );
}

async function scoreChunk(
  { pipeline, dataplane, turns, observer }: PipelineRunOptions,
  predictionId: (record: InputRecord) => string,
  chunk: readonly InputRecord[],
  signal: AbortSignal,
): Promise<Judged[]> {
  const scorer = { pipeline, dataplane, predictionId, signal };
  const judged: Judged[] = [];
  let waitingSince: number | undefined;
  for (let attempt = 1; judged.length < chunk.length; ) {
    try {
      const slice = await turns.take(async () => {
        const version = servedBy(dataplane.endpoint(pipeline.endpoint));
        const rows = version === undefined ? 1 : sliceRows(version);
        return scoreRecords(scorer, chunk.slice(judged.length, judged.length + rows));
      }, signal);
      judged.push(...slice);
      waitingSince = undefined;
      attempt = 1;
    } catch (error) {
      signal.throwIfAborted();
      if (!isWorthWaiting(error)) throw error;
      observer.onWait(error.code);
      const now = performance.now();
      waitingSince ??= now;
      if (now - waitingSince > PATIENCE_MS) throw error;
      await pause(Math.max(backoffMs(RETRY, attempt++), error.retryAfterMs ?? 0), signal, PATIENCE_MS);
    }
  }
  return judged;
}

/** Not the record's fault, and over some day: it waits, and is no dead letter. */
function isWorthWaiting(error: unknown): error is AssayError {
  return error instanceof AssayError && (ERROR_KINDS[error.code].retryable || error.code === 'NOT_FOUND');
}

function outputsOf(
  judged: readonly Judged[],
  predictions: PredictionRecords | undefined,
  endpoint: string,
): OutputRecord[] {
  const records = judged.map(({ record }) => record);
  if (predictions === undefined) return records;
  const logged = judged.flatMap(({ prediction }) => (prediction === undefined ? [] : [prediction]));
  return [...records, ...predictions.toRecords(logged, endpoint)];
}

function countOutcomes(judged: readonly Judged[]): Map<Outcome, number> {
  const counts = new Map<Outcome, number>();
  for (const { outcome } of judged) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return counts;
}

async function pause(ms: number, signal: AbortSignal, mostMs = Number.POSITIVE_INFINITY): Promise<void> {
  // An abort ends the wait; whoever waits looks at the signal.
  await delay(Math.min(ms, mostMs), undefined, { signal }).catch(() => undefined);
}
