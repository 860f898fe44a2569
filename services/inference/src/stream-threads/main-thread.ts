/** The main thread as a stream thread has it: it is asked by number, and answers by it. */
import { AssayError } from '@assay/contracts';
import { fromThreadError } from '@assay/runtime';
import type { PackageSource } from '../domain/version.ts';
import type { EventSink } from '../predictions/prediction-log.ts';
import type { FromStreamThread, Request, ToStreamThread } from './messages.ts';

export interface MainThread {
  readonly packages: PackageSource;
  readonly events: EventSink;
  /** Given the main thread's answer. */
  answered(message: Extract<ToStreamThread, { type: 'answer' }>): void;
}

export function createMainThread(say: (message: FromStreamThread) => void): MainThread {
  const asked = new Map<number, PromiseWithResolvers<string | undefined>>();
  let last = 0;

  async function ask(request: Request, signal?: AbortSignal): Promise<string | undefined> {
    signal?.throwIfAborted();
    const number = ++last;
    const answer = Promise.withResolvers<string | undefined>();
    const onAbort = (): void =>
      answer.reject(new AssayError('CANCELLED', 'the main thread had not answered yet', { cause: signal?.reason }));
    signal?.addEventListener('abort', onAbort, { once: true });
    asked.set(number, answer);
    try {
      say({ type: 'request', number, request });
      return await answer.promise;
    } finally {
      asked.delete(number);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  return {
    packages: {
      async fetch(version, signal) {
        const dir = await ask({ of: 'fetch', version }, signal);
        if (dir === undefined) throw new AssayError('INTERNAL', 'the main thread named no folder of the package');
        return dir;
      },
      async discard(digest) {
        await ask({ of: 'discard', digest });
      },
      retain: (digests) => say({ type: 'retain', digests: [...digests] }),
    },
    events: {
      async publish(topic, events, { signal } = {}) {
        await ask({ of: 'publish', topic, events }, signal);
      },
    },
    answered({ number, value, error }) {
      const answer = asked.get(number);
      if (error === undefined) answer?.resolve(value);
      else answer?.reject(fromThreadError(error));
    },
  };
}
