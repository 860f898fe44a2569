/**
 * Where a new group begins, written down before anybody of it consumes: else "from now on" would mean the time of the
 * first fetch, which comes after `subscribe` has resolved.
 *
 * Of several members that start at once one decides, by a transaction of the group's own transactional id: beginning it
 * (InitProducerId) fences who began before and settles what they left, so that the position that is read then is still
 * right when the decision is committed. A member that came later sees it, and leaves it.
 */

import type { Admin, Kafka } from '@assay/kafka';
import { loadKafkajs } from '@assay/kafka';
import { pause } from './waker.ts';

const NOTHING_COMMITTED = -1n;
const VISIBLE_POLL_MS = 20;

export interface GroupStart {
  readonly groupId: string;
  readonly topic: string;
  readonly from: 'earliest' | 'latest';
}

export async function fixGroupStart(kafka: Kafka, admin: Admin, start: GroupStart, signal: AbortSignal): Promise<void> {
  if ((await undecided(admin, start)).length === 0) return;
  const { Partitioners } = await loadKafkajs();
  const producer = kafka.producer({
    transactionalId: `${start.groupId}.start`,
    maxInFlightRequests: 1,
    transactionTimeout: 10_000,
    createPartitioner: Partitioners.DefaultPartitioner, // nothing is produced; without one kafkajs warns
  });
  await producer.connect();
  try {
    const transaction = await producer.transaction();
    const missing = await undecided(admin, start);
    if (missing.length === 0) return await transaction.abort();
    const bounds = new Map((await admin.fetchTopicOffsets(start.topic)).map((each) => [each.partition, each]));
    const partitions = missing.map(({ partition, committed }) => {
      const { low = '0', high = '0' } = bounds.get(partition) ?? {};
      // kafkajs writes -2 where a position was lost to the retention: then with what is left.
      const isNew = committed === NOTHING_COMMITTED;
      return { partition, offset: isNew && start.from === 'latest' ? high : low };
    });
    await transaction.sendOffsets({ consumerGroupId: start.groupId, topics: [{ topic: start.topic, partitions }] });
    await transaction.commit();
  } finally {
    await producer.disconnect();
  }
  // The broker answers a commit before others see it.
  while ((await undecided(admin, start)).length > 0) {
    signal.throwIfAborted();
    await pause(VISIBLE_POLL_MS, signal);
  }
}

async function undecided(
  admin: Admin,
  { groupId, topic }: GroupStart,
): Promise<{ partition: number; committed: bigint }[]> {
  const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
  return (found?.partitions ?? [])
    .map(({ partition, offset }) => ({ partition, committed: BigInt(offset) }))
    .filter(({ committed }) => committed < 0n);
}

/** Where a broadcast subscriber begins in each partition. */
export async function broadcastStart(
  admin: Admin,
  topic: string,
  from: GroupStart['from'],
): Promise<Map<number, bigint>> {
  const bounds = await admin.fetchTopicOffsets(topic);
  return new Map(bounds.map(({ partition, low, high }) => [partition, BigInt(from === 'latest' ? high : low)]));
}
