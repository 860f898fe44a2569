/**
 * Consume, transform, produce: every input record is transformed and its offset committed in one transaction with its
 * results. It owns transactions, offsets and fencing; claim.ts says why that is exactly once.
 *
 * Crash only: any error under a current claim ends the run by rejecting. Nothing is repaired in place; `supervise`
 * (supervisor.ts) begins a new run, whose claims settle whatever the old one left.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import type { Admin, Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import { type Claim, claimPartition } from './claim.ts';
import type { InputRecord, OutputRecord, Transform } from './records.ts';
import { type KafkaSettings, openKafka } from './settings.ts';
import { countPartitions } from './topics.ts';
import { beginTransform, type Transforming, untilTransformed } from './transforming.ts';

export interface ExactlyOncePipeline {
  readonly kafka: KafkaSettings;
  readonly input: string;
  /** Every topic that the transform may write to: results, dead letters, prediction events. */
  readonly outputs: readonly string[];
  readonly group: string;
  /** Records of one transaction at most. More is faster with a backlog and slower for each. Default 500. */
  readonly maxBatchRecords?: number;
  /** A member that is silent for so long loses its partitions. The broker's lower limit is 6,000. Default 10,000. */
  readonly sessionTimeoutMs?: number;
  /** Default 15,000: how long readers may wait for the transaction of a process that was killed. */
  readonly transactionTimeoutMs?: number;
}

export interface ExactlyOnceObserver {
  /** The group gave this process these partitions of the input. */
  onAssigned?(partitions: readonly number[]): void;
  onCommitted?(commit: Commit): void;
}

/** A transaction that was committed. */
export interface Commit {
  readonly partition: number;
  /** Of the input. */
  readonly records: number;
  /** What the transform gave. */
  readonly results: readonly OutputRecord[];
  readonly transformMs: number;
  readonly commitMs: number;
  /** Offsets of that partition that were not read yet when its records were fetched. */
  readonly lag: number;
}

/**
 * Paces every commit: the broker completes a transaction after it answered, and the next one is told to come back until
 * it has. At kafkajs' default of 300 ms that wait is nearly all of the latency.
 */
const PRODUCER_PACE = { initialRetryTimeMs: 2, maxRetryTimeMs: 500, retries: 14 };
const CONSUMER_PACE = { initialRetryTimeMs: 100, maxRetryTimeMs: 1000, retries: 5 };
/**
 * Of one fetch and partition. The client fetches again when all that it has is done, so less would leave it idle; more
 * would only wait, decoded, in memory.
 */
const FETCH_BYTES = 512 * 1024;
/** How long leaving the group may take; else the session time-out does it. */
const LEAVE_TIMEOUT_MS = 5000;

/** Runs until `signal` aborts (resolves, the group left) or something fails (rejects). */
export async function runExactlyOnce(
  pipeline: ExactlyOncePipeline,
  transform: Transform,
  signal: AbortSignal,
  observer: ExactlyOnceObserver = {},
): Promise<void> {
  signal.throwIfAborted();
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  const forProducers = await openKafka(pipeline.kafka, PRODUCER_PACE);
  const forConsumer = await openKafka(pipeline.kafka, CONSUMER_PACE);
  const admin = forProducers.admin();
  const sessionTimeoutMs = pipeline.sessionTimeoutMs ?? 10_000;
  const heartbeatMs = Math.min(1000, Math.floor(sessionTimeoutMs / 4));
  const consumer = forConsumer.consumer({
    groupId: pipeline.group,
    sessionTimeout: sessionTimeoutMs,
    heartbeatInterval: heartbeatMs,
    rebalanceTimeout: sessionTimeoutMs,
    maxWaitTimeInMs: 100,
    minBytes: 1,
    maxBytesPerPartition: FETCH_BYTES,
    readUncommitted: false,
  });
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => undefined); // raced below; it may also come after the end
  const run: Run = {
    pipeline,
    transform,
    observer,
    admin,
    consumer,
    claims: new Map(),
    retired: new Set(),
    stopped,
    heartbeatMs,
    fail: (error) => failure.reject(error),
  };
  try {
    await admin.connect();
    const partitionsOf = await countPartitions(admin, [pipeline.input, ...pipeline.outputs]);
    await consumer.connect();
    listen(run, forProducers, partitionsOf);
    await consumer.subscribe({ topics: [pipeline.input], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: partitionsOf.get(pipeline.input) ?? 1,
      eachBatch: (payload) => onBatch(run, payload),
    });
    await Promise.race([aborted(signal), failure.promise]);
  } finally {
    stop.abort();
    const claims = [...run.claims.values()];
    run.claims.clear(); // from here on no batch begins
    for (const claim of claims) retire(run, claim);
    // Leave only after what was under way: a partition given away before its commit would wait for it in vain.
    await within(LEAVE_TIMEOUT_MS, Promise.allSettled(run.retired));
    await within(LEAVE_TIMEOUT_MS, consumer.disconnect());
    await within(LEAVE_TIMEOUT_MS, admin.disconnect());
  }
}

interface Run {
  readonly pipeline: ExactlyOncePipeline;
  readonly transform: Transform;
  readonly observer: ExactlyOnceObserver;
  readonly admin: Admin;
  readonly consumer: Consumer;
  /** The claims of the current generation of the group, by partition. */
  readonly claims: Map<number, Positioned>;
  readonly retired: Set<Promise<void>>;
  readonly stopped: AbortSignal;
  readonly heartbeatMs: number;
  readonly fail: (error: unknown) => void;
}

interface Positioned {
  readonly claim: Claim;
  /** Ends with the claim. */
  readonly ended: AbortController;
  /** Whether the consumer's position was seen to be the claim's. */
  aligned: boolean;
}

function listen(run: Run, kafka: Kafka, partitionsOf: ReadonlyMap<string, number>): void {
  const { consumer, pipeline, claims } = run;
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    // A claim that is made while the run ends would be retired by nobody, and fence its rightful owner.
    if (run.stopped.aborted) return;
    const assigned = payload.memberAssignment[pipeline.input] ?? [];
    const former = [...claims.values()];
    claims.clear();
    for (const each of former) retire(run, each);
    // At once, not at the first record: readers of the output wait for what a former owner left open.
    for (const partition of assigned) {
      const claim = claimPartition(
        kafka,
        run.admin,
        {
          group: pipeline.group,
          topic: pipeline.input,
          partition,
          transactionTimeoutMs: pipeline.transactionTimeoutMs ?? 15_000,
          partitionsOf,
        },
        () => claims.get(partition)?.claim === claim,
      );
      claims.set(partition, { claim, ended: new AbortController(), aligned: false });
      claim.settled.catch((error: unknown) => {
        if (claims.get(partition)?.claim === claim) run.fail(error);
      });
    }
    run.observer.onAssigned?.(assigned);
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => run.fail(payload.error));
}

function retire(run: Run, positioned: Positioned): void {
  positioned.ended.abort();
  const ending = positioned.claim.retire().finally(() => run.retired.delete(ending));
  run.retired.add(ending);
}

async function onBatch(run: Run, payload: EachBatchPayload): Promise<void> {
  const { batch, resolveOffset, heartbeat, isRunning } = payload;
  const positioned = run.claims.get(batch.partition);
  if (positioned === undefined) return;
  const { claim } = positioned;
  const isOurs = () => run.claims.get(batch.partition) === positioned && isRunning() && !run.stopped.aborted;
  while (claim.next === undefined) {
    // It may take as long as the former owner's transaction takes to settle; a failed claim ends the run.
    await Promise.race([claim.settled.catch(() => undefined), delay(300)]);
    if (!isOurs()) return;
    await heartbeat(); // throws while the group rebalances: kafkajs joins again, and all claims are made anew
  }
  if (!positioned.aligned) {
    positioned.aligned = true;
    // The first batch of a claim was fetched from what was committed before the claim.
    if (fetchedOffset(batch) !== claim.next) {
      run.consumer.seek({ topic: batch.topic, partition: batch.partition, offset: String(claim.next) });
      return; // nothing is resolved, so that it is fetched again from there
    }
  }
  const position = claim.next;
  const first = batch.messages[0];
  // Nearly always the batch begins there.
  const isAhead = first !== undefined && BigInt(first.offset) >= position;
  const records = isAhead ? batch.messages : batch.messages.filter(({ offset }) => BigInt(offset) >= position);
  const last = batch.messages.at(-1);
  if (records.length === 0 && last !== undefined) return resolveOffset(last.offset);
  await processRecords(run, positioned, records, payload, isOurs);
}

/** Chunk by chunk: transformed, committed with its offset, resolved. The next one is transformed meanwhile. */
async function processRecords(
  run: Run,
  { claim, ended }: Positioned,
  records: readonly KafkaMessage[],
  { batch, resolveOffset, heartbeat }: EachBatchPayload,
  isOurs: () => boolean,
): Promise<void> {
  const { pipeline, transform, stopped, heartbeatMs, observer } = run;
  const size = pipeline.maxBatchRecords ?? 500;
  const signal = AbortSignal.any([stopped, ended.signal]);
  const begin = (from: number): Transforming => {
    const chunk = records.slice(from, from + size).map((message) => toRecord(batch.topic, batch.partition, message));
    return beginTransform(transform, chunk, signal);
  };
  let next = begin(0);
  for (let from = 0; from < records.length; from += size) {
    const { chunk, transformed, tookMs } = await untilTransformed(next, heartbeat, heartbeatMs);
    if (!isOurs()) return;
    if ('error' in transformed) return run.fail(transformed.error);
    if (from + size < records.length) next = begin(from + size);
    const [first, last] = [chunk[0], chunk.at(-1)];
    if (first === undefined || last === undefined) return;
    const beganMs = performance.now();
    try {
      const isNew = await claim.commit(transformed.results, { first: first.offset, last: last.offset });
      if (!isNew) return; // by another batch with the same records, which resolves them
    } catch (error) {
      // Fenced in a former generation is no failure: the new claim began from what was committed.
      if (isOurs()) run.fail(error);
      return;
    }
    observer.onCommitted?.({
      partition: claim.partition,
      records: chunk.length,
      results: transformed.results,
      transformMs: tookMs,
      commitMs: performance.now() - beganMs,
      lag: Math.max(0, Number(BigInt(batch.highWatermark) - last.offset - 1n)),
    });
    if (!isOurs()) return; // resolveOffset would act on the new generation's positions
    resolveOffset(String(last.offset));
    await heartbeat();
  }
  ended.signal.throwIfAborted();
}

const NO_HEADERS: NonNullable<KafkaMessage['headers']> = {};

/** kafkajs' own batch knows where it was fetched from; its types do not say so. */
function fetchedOffset(batch: EachBatchPayload['batch']): bigint {
  const { fetchedOffset: text } = batch as typeof batch & { fetchedOffset?: string };
  if (text === undefined) throw new AssayError('INTERNAL', 'this kafkajs does not tell where a batch was fetched from');
  return BigInt(text);
}

function toRecord(
  topic: string,
  partition: number,
  message: EachBatchPayload['batch']['messages'][number],
): InputRecord {
  const { headers: found = NO_HEADERS } = message;
  const headers: Record<string, Buffer> = {};
  for (const name of Object.keys(found)) {
    const value = found[name];
    // A header may be repeated; the last one counts, as in Kafka's own `lastHeader`.
    const one = Array.isArray(value) ? value.at(-1) : value;
    if (one !== undefined) headers[name] = typeof one === 'string' ? Buffer.from(one) : one;
  }
  return {
    topic,
    partition,
    offset: BigInt(message.offset),
    timestampMs: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers,
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

async function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  await Promise.race([
    work.then(
      () => undefined,
      () => undefined, // leaving is best effort: the session time-out and the next claims do the rest
    ),
    delay(timeoutMs, undefined, { signal: timer.signal }).catch(() => undefined),
  ]);
  timer.abort();
}
