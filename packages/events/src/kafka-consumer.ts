/**
 * One subscriber's way through one topic of Kafka. The consumer is crash only: when it fails it is replaced, and goes on
 * from what was handled, which a group has committed and a broadcast subscriber remembers.
 */
import { AssayError, type Event } from '@assay/contracts';
import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from '@assay/kafka';
import type { Logger } from '@assay/runtime';
import { deserializeEvent } from './check-events.ts';
import { deliver } from './deliver.ts';
import type { EventHandler } from './event-bus.ts';
import { pause } from './waker.ts';

export interface TopicConsumer {
  readonly kafka: Kafka;
  readonly topic: string;
  readonly groupId: string;
  /** For the log: the group's name, or `broadcast`. */
  readonly of: string;
  /** Of a broadcast subscriber: the next offset of each partition, kept up to date. A group's positions are committed. */
  readonly positions: Map<number, bigint> | undefined;
  readonly sessionTimeoutMs: number;
  readonly log: Pick<Logger, 'warn' | 'error'>;
  readonly handle: EventHandler;
  onJoined(): void;
}

/** How much handled work may be handed out again after a kill. */
const COMMIT_EVERY_MS = 500;
/** Fetches wait so long for an event; leaving waits for them. */
const MAX_FETCH_WAIT_MS = 250;
const REBALANCE_TIMEOUT_MS = 30_000;
const LEAVE_TIMEOUT_MS = 5000;

/** Consumes until the signal aborts (resolves once the running handler has ended) or the consumer fails (rejects). */
export async function consumeTopic(of: TopicConsumer, signal: AbortSignal): Promise<void> {
  const consumer = of.kafka.consumer({
    groupId: of.groupId,
    sessionTimeout: of.sessionTimeoutMs,
    heartbeatInterval: Math.floor(of.sessionTimeoutMs / 4),
    rebalanceTimeout: REBALANCE_TIMEOUT_MS,
    maxWaitTimeInMs: MAX_FETCH_WAIT_MS,
    minBytes: 1,
  });
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => undefined); // raced below; it may also fail after the end
  const onAbort = (): void => ended.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) ended.resolve();
  let working: Promise<void> = Promise.resolve();
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [of.topic], fromBeginning: true }); // for partitions that are added later
    consumer.on(consumer.events.CRASH, ({ payload }) => ended.reject(payload.error));
    consumer.on(consumer.events.GROUP_JOIN, () => {
      // Before the first fetch: listeners run at once.
      for (const [partition, offset] of of.positions ?? []) {
        consumer.seek({ topic: of.topic, partition, offset: String(offset) });
      }
      of.onJoined();
    });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: 1,
      eachBatch: (payload) => {
        working = handleBatch(of, consumer, payload, signal);
        return working;
      },
    });
    await ended.promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await working.catch(() => undefined); // the handler that runs; its error is kafkajs' to see
    const late = new AbortController();
    await Promise.race([consumer.disconnect().catch(() => undefined), pause(LEAVE_TIMEOUT_MS, late.signal)]);
    late.abort();
  }
}

async function handleBatch(
  of: TopicConsumer,
  consumer: Consumer,
  { batch, heartbeat, isRunning, isStale, resolveOffset }: EachBatchPayload,
  signal: AbortSignal,
): Promise<void> {
  const { topic, positions, log } = of;
  const lost = new AbortController();
  const working = AbortSignal.any([signal, lost.signal]);
  let failure: unknown;
  let uncommitted: bigint | undefined;
  let committedAtMs = performance.now();

  const fail = (error: unknown): void => {
    failure ??= error;
    lost.abort(new AssayError('UNAVAILABLE', 'another member of the group takes over'));
  };
  async function commit(): Promise<void> {
    committedAtMs = performance.now();
    if (uncommitted === undefined || positions !== undefined) return;
    const offset = String(uncommitted);
    uncommitted = undefined;
    await consumer.commitOffsets([{ topic, partition: batch.partition, offset }]).catch(fail);
  }

  // A handler may take its time, and be tried again for long: the group must not think that this member is dead.
  const beating = setInterval(() => void heartbeat().catch(fail), Math.floor(of.sessionTimeoutMs / 4));
  try {
    for (const message of batch.messages) {
      if (working.aborted || !isRunning() || isStale()) break;
      const position = positions?.get(batch.partition);
      const offset = BigInt(message.offset);
      if (position !== undefined && offset < position) continue;
      const event = decode(of, batch.partition, message);
      if (event !== undefined && !(await deliver(event, of.handle, { topic, signal: working, log, of: of.of }))) break;
      uncommitted = offset + 1n;
      positions?.set(batch.partition, offset + 1n);
      resolveOffset(message.offset);
      if (performance.now() - committedAtMs > COMMIT_EVERY_MS) await commit();
    }
  } finally {
    clearInterval(beating);
    await commit();
  }
  if (failure !== undefined && !signal.aborted) throw failure; // of a rebalance: kafkajs joins again
}

/** Undefined for what is no event: Assay's topics are written by Assay, so it is told, and passed over. */
function decode({ topic, log }: TopicConsumer, partition: number, { offset, value }: KafkaMessage): Event | undefined {
  if (value === null) return undefined; // a tombstone: the resource is forgotten
  try {
    return deserializeEvent(value.toString());
  } catch (error) {
    log.error({ err: error, topic, partition, offset }, 'a record of an event topic is no event; it is passed over');
    return undefined;
  }
}
