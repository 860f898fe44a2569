/** The event bus as the inference thread has it: through its port to the main thread, which answers when events are durable. */
import { AssayError } from '@assay/contracts';
import type { EventSink } from '@assay/inference';
import { fromThreadError } from '@assay/runtime';
import type { FromThread, ToThread } from './thread-messages.ts';

export interface ThreadEvents extends EventSink {
  /** Given the main thread's answer. */
  answered(message: Extract<ToThread, { type: 'published' }>): void;
}

export function createThreadEvents(say: (message: FromThread) => void): ThreadEvents {
  const asked = new Map<number, PromiseWithResolvers<void>>();
  let last = 0;
  return {
    async publish(topic, events, { signal } = {}) {
      signal?.throwIfAborted();
      const number = ++last;
      const answer = Promise.withResolvers<void>();
      const onAbort = (): void =>
        answer.reject(new AssayError('CANCELLED', 'the main thread had not answered yet', { cause: signal?.reason }));
      signal?.addEventListener('abort', onAbort, { once: true });
      asked.set(number, answer);
      try {
        say({ type: 'publish', number, topic, events });
        await answer.promise;
      } finally {
        asked.delete(number);
        signal?.removeEventListener('abort', onAbort);
      }
    },
    answered({ number, error }) {
      const answer = asked.get(number);
      if (error === undefined) answer?.resolve();
      else answer?.reject(fromThreadError(error));
    },
  };
}
