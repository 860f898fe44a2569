/** A bounded number of registrations at once, and a bounded queue for the next ones: each holds a package and a child. */
import { AssayError } from '@assay/contracts';

export interface Slots {
  /**
   * Runs `work` when a slot is free.
   * @throws AssayError OVERLOADED when the queue is full; what `signal` was aborted with while waiting
   */
  use<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

export function createSlots(limits: { readonly slots: number; readonly maxWaiting: number }): Slots {
  let free = limits.slots;
  const waiting: (() => void)[] = [];

  async function take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (free > 0) {
      free -= 1;
      return;
    }
    if (waiting.length >= limits.maxWaiting) {
      throw new AssayError(
        'OVERLOADED',
        `${limits.slots} versions are being checked and ${limits.maxWaiting} wait; try again in a few seconds`,
        { retryAfterMs: 5000 },
      );
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        waiting.splice(waiting.indexOf(enter), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      waiting.push(enter);
    });
  }

  function give(): void {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  }

  return {
    async use(work, signal) {
      await take(signal);
      try {
        return await work();
      } finally {
        give();
      }
    },
  };
}
