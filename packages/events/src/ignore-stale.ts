import type { EventHandler } from './event-bus.ts';

/**
 * `handle`, called only for what is news: an event of a lower sequence than the last one handled of the same subject, or
 * that very one once more, is dropped. That makes a follower of state right under delivery at least once. It remembers the
 * last `maxSubjects`; a subject that fell out is handled again, so it spares work and does not replace a durable check
 * (compare the revision in one's own table) where handling twice does harm.
 */
export function ignoreStale(handle: EventHandler, options: { readonly maxSubjects?: number } = {}): EventHandler {
  const { maxSubjects = 100_000 } = options;
  const handled = new Map<string, { sequence: number; id: string }>();
  return async (event, delivery) => {
    const key = JSON.stringify([delivery.topic, event.source, event.subject]);
    const last = handled.get(key);
    if (last !== undefined && (event.sequence < last.sequence || event.id === last.id)) return;
    await handle(event, delivery);
    handled.delete(key); // so that the oldest entry is the one not heard of for longest
    handled.set(key, { sequence: event.sequence, id: event.id });
    if (handled.size > maxSubjects) {
      const oldest = handled.keys().next();
      if (!oldest.done) handled.delete(oldest.value);
    }
  };
}
