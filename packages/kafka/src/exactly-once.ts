/**
 * Consume, transform, produce: every input record is transformed and its offset committed in one transaction with its
 * results. It owns transactions, offsets and fencing; claim.ts says why that is exactly once.
 *
 * Crash only: any error under a current claim ends the run by rejecting. Nothing is repaired in place; `supervise`
 * (supervisor.ts) begins a new run, whose claims settle whatever the old one left.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import type { Admin, Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import { type Claim, claimPartition } from './claim.ts';
import type { InputRecord, Transform } from './records.ts';
import { type KafkaSettings, openKafka } from './settings.ts';
import { countPartitions } from './topics.ts';

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
  /** A transaction was committed. `lag`: records of that partition that are not read yet. */
  onCommitted?(commit: {
    partition: number;
    records: number;
    transformMs: number;
    commitMs: number;
    lag: number;
  }): void;
}

/**
 * Paces every commit: the broker completes a transaction after it answered, and the next one is told to come back until
 * it has. At kafkajs' default of 300 ms that wait is nearly all of the latency.
 */
const PRODUCER_PACE = { initialRetryTimeMs: 2, maxRetryTimeMs: 500, retries: 14 };
const CONSUMER_PACE = { initialRetryTimeMs: 100, maxRetryTimeMs: 1000, retries: 5 };
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
  const consumer = forConsumer.consumer({
    groupId: pipeline.group,
    sessionTimeout: sessionTimeoutMs,
    heartbeatInterval: Math.min(1000, Math.floor(sessionTimeoutMs / 4)),
    rebalanceTimeout: sessionTimeoutMs,
    maxWaitTimeInMs: 100,
    minBytes: 1,
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

async function onBatch(run: Run, { batch, resolveOffset, heartbeat, isRunning }: EachBatchPayload): Promise<void> {
  const positioned = run.claims.get(batch.partition);
  if (positioned === undefined) return;
  const { claim, ended } = positioned;
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
  const records = batch.messages.filter((message) => BigInt(message.offset) >= position);
  const last = batch.messages.at(-1);
  if (records.length === 0 && last !== undefined) return resolveOffset(last.offset);
  const size = run.pipeline.maxBatchRecords ?? 500;
  for (let from = 0; from < records.length; from += size) {
    if (!isOurs()) return;
    const chunk = records.slice(from, from + size).map((message) => toRecord(batch.topic, batch.partition, message));
    try {
      await processChunk(run, positioned, chunk, BigInt(batch.highWatermark));
    } catch (error) {
      // Fenced in a former generation is no failure: the new claim began from what was committed.
      if (isOurs()) run.fail(error);
      return;
    }
    const done = chunk.at(-1);
    if (!isOurs() || done === undefined) return; // resolveOffset would act on the new generation's positions
    resolveOffset(String(done.offset));
    await heartbeat();
  }
  ended.signal.throwIfAborted();
}

/** No heartbeat within: a rebalance is seen before a transaction or after it, never in between. */
async function processChunk(
  run: Run,
  { claim, ended }: Positioned,
  chunk: readonly InputRecord[],
  highWatermark: bigint,
): Promise<void> {
  const last = chunk.at(-1);
  if (last === undefined) return;
  const began = performance.now();
  const results = await run.transform(chunk, AbortSignal.any([run.stopped, ended.signal]));
  const transformed = performance.now();
  await claim.commit(results, last.offset);
  run.observer.onCommitted?.({
    partition: claim.partition,
    records: chunk.length,
    transformMs: transformed - began,
    commitMs: performance.now() - transformed,
    lag: Math.max(0, Number(highWatermark - last.offset - 1n)),
  });
}

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
  const headers: Record<string, Buffer> = {};
  for (const [name, value] of Object.entries(message.headers ?? {})) {
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
