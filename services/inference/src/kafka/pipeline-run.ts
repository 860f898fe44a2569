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
  mapKafkaError,
  type OutputRecord,
  openKafka,
  type SupervisorObserver,
  superviseExactlyOnce,
  watchLag,
} from '@assay/kafka';
import { type Backoff, backoffMs } from '../domain/backoff.ts';
import type { Dataplane } from '../domain/dataplane.ts';
import type { ServedEndpoint } from '../domain/routing-table.ts';
import type { LoadedVersion } from '../domain/version.ts';
import type { RunnablePipeline } from './pipelines.ts';
import { createPredictionIds } from './prediction-id.ts';
import { type Judged, type Outcome, scoreRecords } from './score-records.ts';
import { rowsWithin, sliceRows } from './slices.ts';
import type { DrawnPredictions, StreamLog } from './stream-log.ts';

export type PipelineState =
  | { readonly state: 'starting' }
  | { readonly state: 'running'; readonly partitions: readonly number[] }
  | { readonly state: 'waiting'; readonly reason: string }
  | { readonly state: 'stopped' };

export interface PipelineObserver {
  onState(state: PipelineState): void;
  onAssigned(partitions: readonly number[]): void;
  onCommitted(commit: Committed): void;
  /** The broker was asked how far the end of the partition is. */
  onLag(partition: number, lag: number): void;
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
  readonly pipeline: RunnablePipeline;
  readonly kafka: KafkaSettings;
  readonly dataplane: Dataplane;
  readonly predictions: StreamLog | undefined;
  readonly observer: PipelineObserver;
}

const RETRY: Backoff = { firstMs: 100, maxMs: 2000 };
const ADMIN_PACE = { initialRetryTimeMs: 100, maxRetryTimeMs: 1000, retries: 2 };
/** How long records wait within their chunk; then the pipeline leaves the group, so that nothing waits half done. */
const PATIENCE_MS = 3000;
/** A chunk is no more than is scored within it: what a slow model has scored is committed before long. */
const CHUNK_MS = 500;
const ENDPOINT_POLL_MS = 200;

/** Runs until `signal` aborts. Never rejects. */
export async function runPipeline(options: PipelineRunOptions, signal: AbortSignal): Promise<void> {
  const { observer, kafka, pipeline } = options;
  observer.onState({ state: 'starting' });
  const clusterId = await untilBrokerAnswers(options, signal);
  // Those of the last membership: while the endpoint cannot score there is none, and the lag grows.
  let owned: readonly number[] = [];
  const watching = watchLag(
    { kafka, group: pipeline.group, topic: pipeline.input, partitions: () => owned, onLag: observer.onLag },
    signal,
  );
  const onAssigned = (partitions: readonly number[]): void => {
    owned = partitions;
    observer.onAssigned(partitions);
  };
  while (clusterId !== undefined && !signal.aborted) {
    const version = await untilEndpointServes(options, signal);
    if (version === undefined) continue;
    await lap(
      { ...options, observer: { ...observer, onAssigned } },
      createPredictionIds(pipeline.name, clusterId),
      version,
      signal,
    );
  }
  await watching;
  observer.onState({ state: 'stopped' });
}

/** The cluster's id, once, with the topics of the log made; undefined when `signal` aborted first. */
async function untilBrokerAnswers(options: PipelineRunOptions, signal: AbortSignal): Promise<string | undefined> {
  for (let attempt = 1; !signal.aborted; attempt++) {
    const admin = (await openKafka(options.kafka, ADMIN_PACE)).admin();
    try {
      await admin.connect();
      await options.predictions?.prepare(admin, signal);
      return (await admin.describeCluster()).clusterId;
    } catch (error) {
      if (signal.aborted) break;
      const { message: reason } = mapKafkaError(error, options.kafka.brokers);
      options.observer.onState({ state: 'waiting', reason });
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

interface Chunk {
  readonly outcomes: ReadonlyMap<Outcome, number>;
  readonly drawn: DrawnPredictions | undefined;
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
  /** What to tell of a chunk when its records are committed. */
  const chunks = new WeakMap<readonly OutputRecord[], Chunk>();
  const supervised: SupervisorObserver = {
    onState(state) {
      if (state.state !== 'stopped') observer.onState(state);
    },
    onAssigned: (partitions) => observer.onAssigned(partitions),
    onCommitted({ partition, results, transformMs, commitMs, lag }) {
      const { outcomes = new Map(), drawn } = chunks.get(results) ?? {};
      drawn?.committed();
      observer.onCommitted({ partition, outcomes, transformMs, commitMs, lag });
    },
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
        const drawn = draw(judged, predictions, pipeline.endpoint);
        const records = [...judged.map(({ record }) => record), ...(drawn?.records ?? [])];
        chunks.set(records, { outcomes: countOutcomes(judged), drawn });
        return records;
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
  { pipeline, dataplane, observer }: PipelineRunOptions,
  predictionId: (record: InputRecord) => string,
  chunk: readonly InputRecord[],
  signal: AbortSignal,
): Promise<Judged[]> {
  const scorer = { pipeline, dataplane, predictionId, signal };
  const judged: Judged[] = [];
  let waitingSince: number | undefined;
  for (let attempt = 1; judged.length < chunk.length; ) {
    try {
      const version = servedBy(dataplane.endpoint(pipeline.endpoint));
      const rows = version === undefined ? 1 : sliceRows(version);
      judged.push(...(await scoreRecords(scorer, chunk.slice(judged.length, judged.length + rows))));
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

function draw(
  judged: readonly Judged[],
  predictions: StreamLog | undefined,
  endpoint: string,
): DrawnPredictions | undefined {
  if (predictions === undefined) return undefined;
  const scored = judged.flatMap(({ prediction }) => (prediction === undefined ? [] : [prediction]));
  return predictions.draw(endpoint, scored);
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
