/** How far a group is behind, as the broker has it: whoever consumes, and whether anybody does. */
import { setTimeout as delay } from 'node:timers/promises';
import { type KafkaSettings, openKafka } from './settings.ts';

export interface LagOptions {
  readonly kafka: KafkaSettings;
  readonly group: string;
  readonly topic: string;
  /** Those that are looked at, asked before each look; none: no look. */
  partitions(): readonly number[];
  /** Offsets of a partition that the group has not committed. Markers of transactions have offsets too. */
  onLag(partition: number, lag: number): void;
  /** Default 5,000. */
  readonly everyMs?: number;
}

const PACE = { initialRetryTimeMs: 100, maxRetryTimeMs: 1000, retries: 2 };

/** Looks every few seconds until `signal` aborts. Never rejects: a look that fails is left out. */
export async function watchLag(options: LagOptions, signal: AbortSignal): Promise<void> {
  const { kafka, group, topic, everyMs = 5000 } = options;
  const admin = (await openKafka(kafka, PACE)).admin();
  while (!signal.aborted) {
    await delay(everyMs, undefined, { signal }).catch(() => undefined); // the loop looks at the signal
    const partitions = new Set(options.partitions());
    if (signal.aborted || partitions.size === 0) continue;
    try {
      await admin.connect();
      const ends = await admin.fetchTopicOffsets(topic);
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] }); // never `resolveOffsets`: it commits
      for (const { partition, low, high } of ends) {
        if (!partitions.has(partition)) continue;
        const committed = Number(found?.partitions.find((each) => each.partition === partition)?.offset ?? -1);
        options.onLag(partition, Math.max(0, Number(high) - (committed < 0 ? Number(low) : committed)));
      }
    } catch {
      // Who consumes meets the same broker, and tells.
    }
  }
  await admin.disconnect().catch(() => undefined); // nothing hangs on it
}
