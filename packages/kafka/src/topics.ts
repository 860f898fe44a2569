/** Topics: their partitions, and making them. */
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import type { Admin } from 'kafkajs';

export interface NewTopic {
  readonly topic: string;
  readonly partitions: number;
  readonly replicationFactor?: number;
  readonly config?: Readonly<Record<string, string>>;
}

/** Number of partitions of each topic. NOT_FOUND names every topic that does not exist. */
export async function countPartitions(admin: Admin, topics: readonly string[]): Promise<Map<string, number>> {
  const existing = new Set(await admin.listTopics());
  const missing = topics.filter((topic) => !existing.has(topic));
  if (missing.length > 0) {
    throw new AssayError('NOT_FOUND', `no such Kafka topic: ${missing.join(', ')}; create it, or correct its name`);
  }
  const { topics: found } = await admin.fetchTopicMetadata({ topics: [...topics] });
  return new Map(found.map(({ name, partitions }) => [name, partitions.length]));
}

/** Makes the topics that are not there, and waits until every one of them has a leader for each partition. */
export async function ensureTopics(admin: Admin, topics: readonly NewTopic[], signal: AbortSignal): Promise<void> {
  // waitForLeaders fails on KRaft while the metadata is on its way: it is asked for below instead.
  await admin.createTopics({
    waitForLeaders: false,
    topics: topics.map(({ topic, partitions, replicationFactor, config }) => ({
      topic,
      numPartitions: partitions,
      ...(replicationFactor === undefined ? {} : { replicationFactor }),
      configEntries: Object.entries(config ?? {}).map(([name, value]) => ({ name, value })),
    })),
  });
  for (;;) {
    signal.throwIfAborted();
    if (await everyPartitionHasALeader(admin, topics)) return;
    await delay(50, undefined, { signal });
  }
}

async function everyPartitionHasALeader(admin: Admin, topics: readonly NewTopic[]): Promise<boolean> {
  const existing = new Set(await admin.listTopics());
  if (topics.some(({ topic }) => !existing.has(topic))) return false;
  const { topics: found } = await admin.fetchTopicMetadata({ topics: topics.map(({ topic }) => topic) });
  return found.every(({ partitions }) => partitions.length > 0 && partitions.every(({ leader }) => leader >= 0));
}
