/** Lets a loop sleep until something happens, and no longer than it says. */
export interface Waker {
  wake(): void;
  /** Resolves at the next `wake` (or at once, if one came since the last wait began), after `maxMs`, or on abort. */
  wait(maxMs: number, signal: AbortSignal): Promise<void>;
}

export function createWaker(): Waker {
  let isAwake = false;
  let resume: (() => void) | undefined;
  return {
    wake() {
      isAwake = true;
      resume?.();
    },
    async wait(maxMs, signal) {
      if (!isAwake && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, maxMs);
          const onAbort = (): void => resume?.();
          resume = () => {
            clearTimeout(timer);
            signal.removeEventListener('abort', onAbort);
            resolve();
          };
          signal.addEventListener('abort', onAbort, { once: true });
        });
        resume?.();
        resume = undefined;
      }
      isAwake = false;
    },
  };
}

/** Waits `ms`; on abort no longer. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return createWaker().wait(ms, signal);
}

/** How long to wait after the `failures`-th failure in a row: 100 ms, doubled each time, to 30 s, up to a quarter less. */
export function backoffMs(failures: number): number {
  return Math.min(30_000, 100 * 2 ** Math.min(failures - 1, 20)) * (1 - Math.random() / 4);
}
