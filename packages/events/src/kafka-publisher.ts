/**
 * Publishing to Kafka. The client gathers nothing, so that is done here: while a request is under way, what is published
 * meanwhile waits, and goes with the next one. One request at a time keeps the order.
 *
 * Crash only: after an error the producer is replaced. (One that got OUT_OF_ORDER_SEQUENCE_NUMBER, as after a broker's
 * crash, gets it for ever.) A request whose answer was lost may have been written: sent again, its events are there twice.
 */
import { AssayError } from '@assay/contracts';
import type { Kafka, Message, Producer } from '@assay/kafka';
import { loadKafkajs, mapKafkaError } from '@assay/kafka';
import { backoffMs, pause } from './waker.ts';

/** Of one request; a partition's part of it is one batch, which a topic of Kafka's defaults takes up to 1 MiB. */
const MAX_REQUEST_BYTES = 512 * 1024;
/** What may wait before publishing is refused. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
const TRIES = 4;
const DISCONNECT_TIMEOUT_MS = 5000;

export interface OutgoingEvent {
  readonly key: string;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface Waiting {
  readonly topic: string;
  readonly event: OutgoingEvent;
  readonly sizeBytes: number;
  readonly done: (error: unknown) => void;
}

export interface KafkaPublisher {
  /** Resolves when all of them are durable. */
  publish(topic: string, events: readonly OutgoingEvent[], signal: AbortSignal | undefined): Promise<void>;
  close(): Promise<void>;
}

export function createKafkaPublisher(options: {
  readonly brokers: readonly string[];
  open(): Promise<Kafka>;
  ensureTopic(topic: string, signal: AbortSignal): Promise<void>;
}): KafkaPublisher {
  const waiting: Waiting[] = [];
  const stop = new AbortController();
  let waitingBytes = 0;
  let producer: Promise<Producer> | undefined;
  let sending: Promise<void> | undefined;

  async function connect(): Promise<Producer> {
    const [kafka, kafkajs] = [await options.open(), await loadKafkajs()];
    const connected = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner, // that of the Java clients, by the key
    });
    await connected.connect();
    return connected;
  }

  async function dropProducer(): Promise<void> {
    const dropped = producer;
    producer = undefined;
    const disconnected = dropped?.then((each) => each.disconnect()).catch(() => undefined); // it is of no more use anyway
    const late = new AbortController();
    await Promise.race([disconnected, pause(DISCONNECT_TIMEOUT_MS, late.signal)]);
    late.abort();
  }

  async function send(batch: readonly Waiting[]): Promise<void> {
    const byTopic = new Map<string, Message[]>();
    for (const { topic, event } of batch) {
      const messages = byTopic.get(topic) ?? [];
      messages.push({ key: event.key, value: event.value, headers: { ...event.headers } });
      byTopic.set(topic, messages);
    }
    for (let tried = 1; ; tried++) {
      try {
        for (const topic of byTopic.keys()) await options.ensureTopic(topic, stop.signal);
        producer ??= connect();
        const topicMessages = [...byTopic].map(([topic, messages]) => ({ topic, messages }));
        await (await producer).sendBatch({ acks: -1, topicMessages });
        return;
      } catch (cause) {
        await dropProducer();
        const error = mapKafkaError(cause, options.brokers);
        if (!error.retryable || tried >= TRIES || stop.signal.aborted) throw error;
        await pause(backoffMs(tried), stop.signal);
      }
    }
  }

  /** The first of what waits, up to the size of a request. */
  function takeBatch(): Waiting[] {
    let sizeBytes = 0;
    let end = 0;
    for (const each of waiting) {
      if (end > 0 && sizeBytes + each.sizeBytes > MAX_REQUEST_BYTES) break;
      sizeBytes += each.sizeBytes;
      end++;
    }
    waitingBytes -= sizeBytes;
    return waiting.splice(0, end);
  }

  async function sendAll(): Promise<void> {
    await Promise.resolve(); // what is published in this turn goes together
    while (waiting.length > 0) {
      const batch = takeBatch();
      const error = await send(batch).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      for (const { done } of batch) done(error);
    }
    sending = undefined;
  }

  return {
    async publish(topic, events, signal) {
      signal?.throwIfAborted();
      if (stop.signal.aborted) throw closed();
      const sized = events.map((event) => ({
        event,
        sizeBytes: Buffer.byteLength(event.value) + event.key.length + 200,
      }));
      const totalBytes = sized.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      if (waitingBytes + totalBytes > MAX_WAITING_BYTES && waitingBytes > 0) {
        throw new AssayError('UNAVAILABLE', 'events are published faster than Kafka takes them; try again');
      }
      await new Promise<void>((resolve, reject) => {
        let left = sized.length;
        const done = (error: unknown): void => {
          if (error !== undefined) reject(error);
          else if (--left === 0) resolve();
        };
        for (const each of sized) waiting.push({ topic, ...each, done });
        waitingBytes += totalBytes;
        const onAbort = (): void => {
          const kept = waiting.filter((each) => each.done !== done);
          waitingBytes -= sizeOf(waiting) - sizeOf(kept);
          waiting.splice(0, waiting.length, ...kept);
          reject(signal?.reason);
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        sending ??= sendAll();
      });
    },

    async close() {
      stop.abort(closed());
      await sending;
      await dropProducer();
    },
  };
}

function sizeOf(list: readonly Waiting[]): number {
  return list.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function closed(): AssayError {
  return new AssayError('UNAVAILABLE', 'the event bus is closed; the process is stopping');
}
