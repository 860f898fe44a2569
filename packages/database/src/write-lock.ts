/** One writer at a time, in the order of asking. */
import { AssayError } from '@assay/contracts';

export interface WriteLock {
  /**
   * Waits for its turn and gives the function that ends it (a second call of that does nothing).
   * @throws the signal's reason, or UNAVAILABLE after `timeoutMs`
   */
  acquire(options: {
    readonly timeoutMs: number;
    readonly signal?: AbortSignal | undefined;
    /** What it is for; see `next`. */
    readonly kind?: TurnKind;
  }): Promise<() => void>;
  /** What the next turn is for; undefined where nobody waits. */
  next(): TurnKind | undefined;
}

export type TurnKind = 'statement' | 'transaction';

export function createWriteLock(where: string): WriteLock {
  const waiting: { readonly enter: () => void; readonly kind: TurnKind }[] = [];
  let held = false;

  function release(): void {
    const next = waiting.shift();
    if (next === undefined) held = false;
    else next.enter();
  }

  function once(): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      release();
    };
  }

  return {
    next: () => waiting[0]?.kind,
    acquire({ timeoutMs, signal, kind = 'statement' }) {
      signal?.throwIfAborted();
      if (!held) {
        held = true;
        return Promise.resolve(once());
      }
      return new Promise((resolve, reject) => {
        const stopWaiting = (reason: unknown): void => {
          const place = waiting.indexOf(waiter);
          if (place >= 0) waiting.splice(place, 1);
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          reject(reason);
        };
        const onAbort = (): void => stopWaiting(signal?.reason);
        const enter = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          resolve(once());
        };
        const timer = setTimeout(() => {
          const message = `database ${where}: waited ${timeoutMs} ms for the transactions ahead; try again`;
          stopWaiting(new AssayError('UNAVAILABLE', message));
        }, timeoutMs);
        signal?.addEventListener('abort', onAbort, { once: true });
        const waiter = { enter, kind };
        waiting.push(waiter);
      });
    },
  };
}
