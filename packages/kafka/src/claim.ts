/**
 * The claim on one input partition: the right to write its results, and where to go on.
 *
 * Why it is exactly once, whatever the group protocol believes (kafkajs neither checks the group's generation in
 * sendOffsets nor waits for the open transactions of a former owner):
 *
 * 1. Every result and every offset of an input partition goes through one transactional id: (group, topic, partition).
 * 2. A claim first sends InitProducerId. It fences the former owner and settles its open transaction (KIP-98).
 * 3. Only then it reads the committed offset C, and processes from C on.
 *
 * A commit under our epoch can succeed only if nobody claimed after us, so C is still right when it does. Between 2 and 3
 * an empty transaction is aborted, for what brokers may leave behind (dangling-transactions.ts).
 */
import { AssayError } from '@assay/contracts';
import type { Admin, Kafka, Message, Producer, Transaction } from 'kafkajs';
import { settleWhenInitialised } from './dangling-transactions.ts';
import { replaceKafkajsParts } from './kafkajs-parts.ts';
import { encodedHeaders, JoinedHeaders } from './record-encoder.ts';
import type { OutputRecord } from './records.ts';
import { loadKafkajs } from './settings.ts';

export interface ClaimOptions {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  /** A transaction that its owner leaves open for so long is aborted by the broker. */
  readonly transactionTimeoutMs: number;
  /** Partitions of every topic that results may go to. */
  readonly partitionsOf: ReadonlyMap<string, number>;
}

export interface Claim {
  readonly partition: number;
  /** The first offset that is not committed; undefined until the claim is settled. */
  readonly next: bigint | undefined;
  /** Resolves when `next` is known; rejects when the claim cannot be had. */
  readonly settled: Promise<void>;
  /**
   * Writes `records` and the offset after `input.last` in one transaction, one after the other.
   * @returns false where that input was committed before: around a rebalance kafkajs may hand out two batches with the
   *   same records, one fetched before it and one after, both under this claim
   */
  commit(records: readonly OutputRecord[], input: { readonly first: bigint; readonly last: bigint }): Promise<boolean>;
  /** Disconnects once what is under way has ended. Never aborts: the next claim settles what is open. */
  retire(): Promise<void>;
}

/** kafkajs commits -2 itself when a position was out of range; -1 is "nothing committed". */
const NOTHING_COMMITTED = -1n;

export function claimPartition(kafka: Kafka, admin: Admin, options: ClaimOptions, isCurrent: () => boolean): Claim {
  const { group, topic, partition } = options;
  let producer: Producer | undefined;
  let next: bigint | undefined;
  let working: Promise<void> = Promise.resolve();

  const settle = async (): Promise<void> => {
    const kafkajs = await loadKafkajs();
    const transactionalId = `${group}-${topic}-${partition}`;
    settleWhenInitialised(transactionalId, {
      topics: Array.from(options.partitionsOf)
        .filter(([output]) => output !== topic)
        .map(([output, partitions]) => ({ topic: output, partitions: [partition % partitions] })),
      groupId: group,
    });
    producer = kafka.producer({
      transactionalId,
      maxInFlightRequests: 1,
      transactionTimeout: options.transactionTimeoutMs,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    // A claim for a partition that is lost by now would fence its rightful owner: safe, but it would end that one.
    if (!isCurrent()) return;
    // The first transaction sends InitProducerId; it waits while the former owner's is being settled.
    const transaction = await producer.transaction();
    await transaction.abort();
    next = await committedOffset(admin, group, topic, partition);
  };

  const write: Claim['commit'] = async (records, input) => {
    if (producer === undefined || next === undefined) throw new Error('commit before the claim was settled');
    if (input.first < next) return false;
    const transaction = await producer.transaction();
    await send(transaction, records, partition, options.partitionsOf);
    const offset = input.last + 1n;
    await transaction.sendOffsets({
      consumerGroupId: group,
      topics: [{ topic, partitions: [{ partition, offset: String(offset) }] }],
    });
    await transaction.commit();
    next = offset;
    return true;
  };

  const settled = settle();
  settled.catch(() => undefined); // whoever waits for it sees it; nobody may be waiting yet
  return {
    partition,
    get next() {
      return next;
    },
    settled,
    commit(records, input) {
      const written = working.then(() => write(records, input));
      working = written.then(
        () => undefined,
        () => undefined, // its caller hears of it
      );
      return written;
    },
    async retire() {
      await Promise.allSettled([settled, working]);
      await producer?.disconnect().catch(() => undefined); // the broker closes what cannot be closed politely
    },
  };
}

/**
 * Records of a request; those of one topic are one batch of the log, which a topic of Kafka's defaults takes up to 1 MiB. A
 * larger record goes alone, and the topic decides.
 */
const MAX_SEND_BYTES = 512 * 1024;

/** Results first: unlike sendOffsets, a send waits while the transaction before is still being completed. */
async function send(
  transaction: Transaction,
  records: readonly OutputRecord[],
  partition: number,
  partitionsOf: ReadonlyMap<string, number>,
): Promise<void> {
  let byTopic = new Map<string, Message[]>();
  let sizeBytes = 0;
  const flush = async (): Promise<void> => {
    if (byTopic.size === 0) return;
    const topicMessages = Array.from(byTopic, ([topic, messages]) => ({ topic, messages }));
    await transaction.sendBatch({ acks: -1, topicMessages });
    byTopic = new Map();
    sizeBytes = 0;
  };
  for (const record of records) {
    const recordBytes = bytesOf(record);
    if (sizeBytes + recordBytes > MAX_SEND_BYTES) await flush();
    sizeBytes += recordBytes;
    const { topic, key, value } = record;
    const headers = joinHeaders(record);
    const partitions = partitionsOf.get(topic);
    if (partitions === undefined) throw new Error(`a result for topic ${topic}, which the pipeline does not name`);
    // An explicit partition: a send that is tried again must not choose another one.
    const message = { key, value, headers, partition: partition % partitions };
    const messages = byTopic.get(topic);
    if (messages === undefined) byTopic.set(topic, [message]);
    else messages.push(message);
  }
  await flush();
}

/** As kafkajs' types have them; it does not write to them. */
function joinHeaders({ headers, sharedHeaders }: OutputRecord): Record<string, Buffer | string> {
  if (sharedHeaders === undefined) return headers as Record<string, Buffer | string>;
  if (replaceKafkajsParts() === undefined) return { ...headers, ...sharedHeaders };
  return new JoinedHeaders(headers, sharedHeaders) as unknown as Record<string, Buffer | string>; // our encoder reads them
}

function bytesOf({ key, value, headers, sharedHeaders }: OutputRecord): number {
  let sizeBytes = (key?.length ?? 0) + (value?.length ?? 0) + 32;
  if (sharedHeaders !== undefined) sizeBytes += encodedHeaders(sharedHeaders).bytes.length;
  for (const name in headers) sizeBytes += name.length + (headers[name]?.length ?? 0) + 4;
  return sizeBytes;
}

/** Never with `resolveOffsets: true`, which commits. */
async function committedOffset(admin: Admin, group: string, topic: string, partition: number): Promise<bigint> {
  const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
  const text = found?.partitions.find((each) => each.partition === partition)?.offset;
  const offset = text === undefined ? NOTHING_COMMITTED : BigInt(text);
  if (offset >= 0n) return offset;
  if (offset !== NOTHING_COMMITTED) {
    throw new AssayError(
      'FAILED_PRECONDITION',
      `group ${group} has offset ${offset} for ${topic}/${partition}: its position was lost to retention; set it by hand`,
    );
  }
  const low = (await admin.fetchTopicOffsets(topic)).find((each) => each.partition === partition)?.low;
  if (low === undefined) throw new AssayError('UNAVAILABLE', `topic ${topic} has no partition ${partition} any more`);
  return BigInt(low);
}
