/**
 * The event bus on Kafka: events are CloudEvents in structured mode, keyed by their subject, so that those of a subject
 * are in one partition, in order. Each group has a consumer group of Kafka for each topic (`GROUP.TOPIC`): its topics go
 * ahead independently, as on the database. A broadcast subscriber is a consumer group of its own that commits nothing.
 *
 * A broker that is away holds up what is asked for, and is waited out: `publish` fails as UNAVAILABLE after a while,
 * `subscribe` goes on trying until its signal aborts.
 */
import { randomUUID } from 'node:crypto';
import { AssayError } from '@assay/contracts';
import type { Admin, Kafka } from '@assay/kafka';
import { type KafkaSettings, mapKafkaError, openKafka } from '@assay/kafka';
import type { Logger } from '@assay/runtime';
import { checkName } from './check-events.ts';
import type { EventBus, EventHandler, SubscribeOptions, Subscription } from './event-bus.ts';
import { ensureEventTopic, type NewTopicOptions } from './event-topics.ts';
import { consumeTopic } from './kafka-consumer.ts';
import { createKafkaPublisher } from './kafka-publisher.ts';
import { toKafkaRecord } from './kafka-records.ts';
import { broadcastStart, fixGroupStart } from './kafka-start.ts';
import { backoffMs, pause } from './waker.ts';

export interface KafkaEventBusOptions {
  readonly kafka: KafkaSettings;
  readonly log: Pick<Logger, 'warn' | 'error'>;
  /** Of topics that are not there yet and are made. */
  readonly newTopics?: NewTopicOptions;
  /** How long a killed or frozen group member holds up the others at most. Default 10,000; brokers take 6,000 at least. */
  readonly sessionTimeoutMs?: number;
}

/** The client's own tries; what lasts longer is tried again here, with what was learnt. */
const PACE = { initialRetryTimeMs: 50, maxRetryTimeMs: 1000, retries: 5 };
/** How long a broker that is back waits to be noticed. */
const MAX_RETRY_MS = 5000;

/** Connects when it is first used. */
export function openKafkaEventBus(options: KafkaEventBusOptions): EventBus {
  const { log, newTopics = {}, sessionTimeoutMs = 10_000 } = options;
  const { brokers, clientId } = options.kafka;
  const subscriptions = new Set<Subscription>();
  const known = new Set<string>();
  let kafka: Promise<Kafka> | undefined;
  let admin: Promise<Admin> | undefined;
  let isClosed = false;

  function open(): Promise<Kafka> {
    kafka ??= openKafka(options.kafka, PACE);
    return kafka;
  }

  async function openAdmin(): Promise<Admin> {
    admin ??= (async () => {
      const opened = (await open()).admin();
      await opened.connect();
      return opened;
    })();
    const opening = admin;
    try {
      return await opening;
    } catch (error) {
      if (admin === opening) admin = undefined;
      throw error;
    }
  }

  async function ensureTopic(topic: string, signal: AbortSignal): Promise<void> {
    if (known.has(topic)) return;
    await ensureEventTopic(await openAdmin(), topic, newTopics, signal);
    known.add(topic);
  }

  const publisher = createKafkaPublisher({ brokers, open, ensureTopic });

  function checkOpen(): void {
    if (isClosed) throw new AssayError('UNAVAILABLE', 'the event bus is closed; the process is stopping');
  }

  /** Consumes a topic until the signal aborts, with a new consumer whenever one fails. */
  async function follow(
    topic: string,
    { delivery, from }: SubscribeOptions,
    handle: EventHandler,
    stop: AbortSignal,
    onJoined: () => void,
  ): Promise<void> {
    const isBroadcast = delivery === 'broadcast';
    const groupId = isBroadcast ? `${clientId}.broadcast.${randomUUID()}` : `${delivery.group}.${topic}`;
    let positions: Map<number, bigint> | undefined;
    for (let failures = 1; !stop.aborted; failures++) {
      try {
        await ensureTopic(topic, stop);
        const client = await open();
        if (isBroadcast) positions ??= await broadcastStart(await openAdmin(), topic, from);
        else await fixGroupStart(client, await openAdmin(), { groupId, topic, from }, stop);
        const of = isBroadcast ? 'broadcast' : delivery.group;
        const consumer = { kafka: client, topic, groupId, of, positions, sessionTimeoutMs, log, handle };
        await consumeTopic(
          {
            ...consumer,
            onJoined: () => {
              failures = 0;
              onJoined();
            },
          },
          stop,
        );
      } catch (cause) {
        if (stop.aborted) return;
        const retryInMs = Math.round(Math.min(backoffMs(failures + 1), MAX_RETRY_MS));
        const err = mapKafkaError(cause, brokers);
        if (err.code === 'NOT_FOUND') known.delete(topic);
        log.error({ err, topic, retryInMs }, 'events cannot be followed now; trying again');
        await pause(retryInMs, stop);
      }
    }
  }

  return {
    async publish(topic, events, { signal } = {}) {
      checkOpen();
      checkName('topic', topic);
      const outgoing = events.map(toKafkaRecord);
      if (outgoing.length > 0) await publisher.publish(topic, outgoing, signal);
    },

    async subscribe(subscribeOptions, handle) {
      checkOpen();
      const { topics, delivery, signal } = subscribeOptions;
      signal?.throwIfAborted();
      for (const topic of topics) checkName('topic', topic);
      if (delivery !== 'broadcast') checkName('group', delivery.group);
      const stop = new AbortController();
      const joined: Promise<void>[] = [];
      const loops = [...new Set(topics)].map((topic) => {
        const first = Promise.withResolvers<void>();
        joined.push(first.promise);
        return follow(topic, subscribeOptions, handle, stop.signal, first.resolve);
      });
      const subscription: Subscription = {
        async close() {
          stop.abort();
          signal?.removeEventListener('abort', onAbort);
          await Promise.all(loops);
          subscriptions.delete(subscription);
        },
      };
      const onAbort = (): void => void subscription.close();
      signal?.addEventListener('abort', onAbort, { once: true });
      subscriptions.add(subscription);
      await Promise.race([Promise.all(joined), Promise.all(loops)]);
      signal?.throwIfAborted();
      return subscription;
    },

    async close() {
      isClosed = true;
      await Promise.all([...subscriptions].map((subscription) => subscription.close()));
      await publisher.close();
      await admin?.then((opened) => opened.disconnect()).catch(() => undefined); // nothing is lost with it
    },
  };
}
