/** Events as records of Kafka: for the bus, and for who writes them in a transaction of its own. */
import type { Event } from '@assay/contracts';
import { traceFieldsOf } from '@assay/runtime';
import { serializeEvent } from './check-events.ts';
import type { OutgoingEvent } from './kafka-publisher.ts';

export { ensureEventTopic, type NewTopicOptions } from './event-topics.ts';

const HEADERS = { 'content-type': 'application/cloudevents+json; charset=UTF-8' };

/**
 * A CloudEvent in structured mode, keyed by its subject.
 * @throws AssayError INVALID_ARGUMENT, PAYLOAD_TOO_LARGE over 1 MiB
 */
export function toKafkaRecord(event: Event): OutgoingEvent {
  return {
    key: event.subject,
    value: serializeEvent(event),
    headers: { ...HEADERS, ...traceFieldsOf(event) },
  };
}
