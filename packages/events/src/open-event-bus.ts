import { AssayError } from '@assay/contracts';
import type { KafkaConfig } from '@assay/kafka';
import type { Logger } from '@assay/runtime';
import type { EventBus } from './event-bus.ts';

export interface OpenEventBusOptions {
  readonly log: Pick<Logger, 'warn' | 'error'>;
  /** Names this process in the brokers' logs: `assay-registry`. */
  readonly clientId: string;
  /** The settings of `kafka`; needed where the url is `kafka:`. */
  readonly kafka?: KafkaConfig;
}

/**
 * The event bus of an installation.
 * @param url `kafka:` (the cluster that the settings of `kafka` name), or the database of the embedded event log:
 *   `sqlite:FILE`, `postgres://HOST/DATABASE?schema=events`
 * @throws AssayError INVALID_ARGUMENT for another url, FAILED_PRECONDITION for settings that are missing, and what
 *   `openDatabase` throws. Kafka itself is connected to when it is first used
 */
export async function openEventBus(url: string, { log, clientId, kafka }: OpenEventBusOptions): Promise<EventBus> {
  // Drivers are loaded only when chosen.
  if (url === 'kafka:') {
    if (kafka === undefined)
      throw new AssayError('INTERNAL', 'the event bus is kafka: and no settings of it are given');
    const [{ kafkaSettings }, { openKafkaEventBus }] = [await import('@assay/kafka'), await import('./kafka-bus.ts')];
    const { topicPartitions: partitions, topicReplicas, sessionTimeoutMs } = kafka;
    return openKafkaEventBus({
      kafka: kafkaSettings(kafka, clientId),
      log,
      sessionTimeoutMs,
      newTopics: { partitions, ...(topicReplicas === undefined ? {} : { replicas: topicReplicas }) },
    });
  }
  if (!/^(sqlite|postgres(ql)?):/.test(url)) {
    const scheme = /^[a-z0-9+]+:/.exec(url)?.[0] ?? url.slice(0, 20);
    const expected = 'expected kafka:, sqlite:FILE or postgres://HOST/DATABASE';
    throw new AssayError('INVALID_ARGUMENT', `"${scheme}" is no event bus url; ${expected}`);
  }
  const { openDatabaseEventBus } = await import('./database-bus.ts');
  return openDatabaseEventBus({ url, log });
}
