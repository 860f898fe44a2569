/** What may be published: checked where it enters, so that the log and the outbox hold only what can be delivered. */
import { AssayError, Event, parse } from '@assay/contracts';

/** Kafka's default limit of a message. */
const MAX_EVENT_BYTES = 1024 * 1024;
/** Kafka's rule, which holds on every driver. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,248}$/;

export function checkName(what: 'topic' | 'group', name: string): void {
  if (NAME.test(name)) return;
  const shown = JSON.stringify(name.slice(0, 100));
  throw new AssayError('INVALID_ARGUMENT', `${shown} is no ${what} name; expected up to 249 letters, digits, . _ -`);
}

/** The event as text. */
export function serializeEvent(event: unknown): string {
  const text = JSON.stringify(parse(Event, event, 'event'));
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > MAX_EVENT_BYTES) {
    throw new AssayError('PAYLOAD_TOO_LARGE', `an event of ${sizeBytes} bytes is over the limit of ${MAX_EVENT_BYTES}`);
  }
  return text;
}

/** An event that `serializeEvent` wrote. */
export function deserializeEvent(text: string): Event {
  return parse(Event, JSON.parse(text), 'event');
}
