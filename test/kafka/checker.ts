/** What a careful reader finds: `read_committed`, every record of the topics up to their end. */
import { type KafkaMessage, openKafka } from '@assay/kafka';

export interface Found {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: string | undefined;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

const PACE = { initialRetryTimeMs: 50, maxRetryTimeMs: 1000, retries: 10 };

/**
 * Reads until `enough` is satisfied, then until nothing more comes for `quietMs` (what is doubled may come late).
 * Readers stop at an open transaction until its id is initialised again or it times out.
 */
export async function readCommitted(
  bootstrap: string,
  topics: readonly string[],
  enough: (found: readonly Found[]) => boolean,
  limits: { timeoutMs: number; quietMs: number },
): Promise<Found[]> {
  const kafka = await openKafka({ brokers: [bootstrap], clientId: 'checker' }, PACE);
  const found: Found[] = [];
  const seen = new Set<string>();
  let lastAt = performance.now();
  const deadline = lastAt + limits.timeoutMs;

  function take(topic: string, partition: number, message: KafkaMessage): void {
    const position = `${topic}/${partition}/${message.offset}`;
    if (seen.has(position)) return; // by the reader before this one
    seen.add(position);
    const headers = Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]);
    found.push({
      topic,
      partition,
      offset: BigInt(message.offset),
      key: message.key?.toString(),
      value: message.value,
      headers: Object.fromEntries(headers),
    });
    lastAt = performance.now();
  }

  // A reader dies where the broker is away, or has only just started: the next one begins anew.
  for (;;) {
    let isDead = false;
    const consumer = kafka.consumer({
      groupId: `checker-${crypto.randomUUID()}`,
      readUncommitted: false,
      sessionTimeout: 10_000,
    });
    consumer.on(consumer.events.CRASH, () => {
      isDead = true;
    });
    try {
      await consumer.connect();
      await consumer.subscribe({ topics: [...topics], fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatch: async ({ batch, resolveOffset }) => {
          for (const message of batch.messages) {
            take(batch.topic, batch.partition, message);
            resolveOffset(message.offset);
          }
        },
      });
      while (!isDead) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        if (enough(found) && performance.now() - lastAt > limits.quietMs) return found;
        if (performance.now() > deadline) return found;
      }
    } catch (error) {
      if (performance.now() > deadline) throw error;
    } finally {
      await consumer.disconnect();
    }
  }
}

export interface Verdict {
  readonly inputs: number;
  readonly doubled: readonly string[];
  readonly lost: readonly string[];
  readonly outOfOrder: readonly string[];
}

/** Judges results by the `source` header (`partition:offset` of the input): each exactly once, in order within a key. */
export function judge(sources: readonly string[], found: readonly Found[]): Verdict {
  const seen = new Map<string, number>();
  const lastOfKey = new Map<string, bigint>();
  const outOfOrder: string[] = [];
  for (const record of found) {
    const source = record.headers.source ?? '';
    seen.set(source, (seen.get(source) ?? 0) + 1);
    // Results and dead letters are two topics: a key's order is kept within each.
    const lane = `${record.topic} ${record.partition} ${record.key}`;
    const offset = BigInt(source.split(':')[1] ?? -1);
    if (offset <= (lastOfKey.get(lane) ?? -1n)) outOfOrder.push(source);
    lastOfKey.set(lane, offset);
  }
  return {
    inputs: sources.length,
    doubled: [...seen].filter(([, count]) => count > 1).map(([source]) => source),
    lost: sources.filter((source) => !seen.has(source)),
    outOfOrder,
  };
}
