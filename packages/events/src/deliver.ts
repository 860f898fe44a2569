import type { Event } from '@assay/contracts';
import type { Logger } from '@assay/runtime';
import type { EventHandler } from './event-bus.ts';
import { backoffMs, pause } from './waker.ts';

/**
 * Gives one event to its handler until that takes it.
 * @returns false where the signal aborted before
 */
export async function deliver(
  event: Event,
  handle: EventHandler,
  options: {
    readonly topic: string;
    readonly signal: AbortSignal;
    readonly log: Pick<Logger, 'warn'>;
    readonly of: string;
  },
): Promise<boolean> {
  const { topic, signal, log } = options;
  for (let attempt = 1; !signal.aborted; attempt++) {
    try {
      await handle(event, { topic, attempt, signal });
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const retryInMs = Math.round(backoffMs(attempt));
      const fields = {
        err: error,
        topic,
        subscriber: options.of,
        event: event.id,
        type: event.type,
        attempt,
        retryInMs,
      };
      log.warn(fields, 'an event could not be handled; it is given again, and those behind it wait');
      await pause(retryInMs, signal);
    }
  }
  return false;
}
