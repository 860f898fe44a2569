/** The Kafka topics of events: how each is kept, and making those that are not there. */
import { TOPICS } from '@assay/contracts';
import type { Admin } from '@assay/kafka';
import { ensureTopics } from '@assay/kafka';

export interface NewTopicOptions {
  /** Default 6. */
  readonly partitions?: number;
  /** Default: what the cluster says. */
  readonly replicas?: number;
}

/** An event carries the whole resource: of each resource the last one is enough, and is kept for ever. */
const COMPACTED: ReadonlySet<string> = new Set([TOPICS.models, TOPICS.jobs]);
/** Facts that nothing may drop before they were taken up elsewhere. */
const KEPT: ReadonlySet<string> = new Set([TOPICS.audit]);

const DEFAULT_PARTITIONS = 6;
const RETENTION_MS = 7 * 24 * 60 * 60 * 1000;
/** Followers that are an hour behind still see each event. */
const COMPACTION_LAG_MS = 60 * 60 * 1000;
/** An event may have 1 MiB; a record has its key and headers besides. */
const MAX_RECORD_BYTES = 2 * 1024 * 1024;

function configOf(topic: string): Record<string, string> {
  const size = { 'max.message.bytes': String(MAX_RECORD_BYTES) };
  if (COMPACTED.has(topic)) {
    return { ...size, 'cleanup.policy': 'compact', 'min.compaction.lag.ms': String(COMPACTION_LAG_MS) };
  }
  return { ...size, 'cleanup.policy': 'delete', 'retention.ms': KEPT.has(topic) ? '-1' : String(RETENTION_MS) };
}

/** Makes the topic unless it is there; one that an administrator made stays as it is, and needs no right to make it. */
export async function ensureEventTopic(
  admin: Admin,
  topic: string,
  { partitions = DEFAULT_PARTITIONS, replicas }: NewTopicOptions,
  signal: AbortSignal,
): Promise<void> {
  if ((await admin.listTopics()).includes(topic)) return;
  const one = {
    topic,
    partitions,
    ...(replicas === undefined ? {} : { replicationFactor: replicas }),
    config: configOf(topic),
  };
  await ensureTopics(admin, [one], signal);
}
