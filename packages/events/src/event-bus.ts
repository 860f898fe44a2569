/**
 * The port by which services tell each other what changed. Words: a *topic* is a named log of events; a *group* is several
 * subscribers that share the work, each event going to one of them; *broadcast* gives every subscriber every event.
 *
 * Events are delivered at least once, and events of one subject in the order in which they were published. A consumer is
 * therefore idempotent, and drops what is older than what it has: see `ignoreStale`.
 */
import type { Event } from '@assay/contracts';
import { newId, type TraceFields, traceFieldsOf } from '@assay/runtime';

export interface Delivery {
  readonly topic: string;
  /** 1 at first; counts up while the handler fails. */
  readonly attempt: number;
  /** Aborts when the subscription closes, or another member of the group has taken over. */
  readonly signal: AbortSignal;
}

export type EventHandler = (event: Event, delivery: Delivery) => Promise<void>;

export interface SubscribeOptions {
  readonly topics: readonly string[];
  /** A group remembers how far it is, across restarts. A broadcast subscriber starts anew each time. */
  readonly delivery: { readonly group: string } | 'broadcast';
  /** Where a broadcast subscriber, or a group that is new, begins: with all that is kept, or with what comes. */
  readonly from: 'earliest' | 'latest';
  /** Ends the subscription, as `close` does. */
  readonly signal?: AbortSignal;
}

export interface Subscription {
  /** Hands out no more events, and resolves when the handler that runs has ended. */
  close(): Promise<void>;
}

export interface EventBus {
  /**
   * Resolves when the events are durable. Of a list with an event that is not valid none is published. Where it fails as
   * UNAVAILABLE, or is aborted, some may be there: publish all of them again, consumers drop what they know.
   * @throws AssayError INVALID_ARGUMENT (no event of the schema, bad topic), PAYLOAD_TOO_LARGE, UNAVAILABLE
   */
  publish(topic: string, events: readonly Event[], options?: { readonly signal?: AbortSignal }): Promise<void>;
  /**
   * Calls `handle` for one event of a topic at a time. While it throws, the same event is given again, ever later (to 30 s),
   * and those behind it wait: nothing is skipped. A handler that would rather go on catches its own errors.
   * Resolves when whatever is published from now on will be delivered.
   */
  subscribe(options: SubscribeOptions, handle: EventHandler): Promise<Subscription>;
  /** Ends all subscriptions. */
  close(): Promise<void>;
}

/**
 * A new event: what its maker knows; id, time and format are added.
 * @param trace of what it tells: the distributed tracing extension of CloudEvents
 */
export function newEvent(
  event: Pick<Event, 'source' | 'type' | 'subject' | 'sequence' | 'data'>,
  trace: Partial<TraceFields> = {},
): Event {
  return {
    specversion: '1.0',
    id: newId('evt'),
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    ...traceFieldsOf(trace),
    ...event,
  };
}
