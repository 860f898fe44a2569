import { AssayError } from '@assay/contracts';

/**
 * Gives up waiting for `load` after `timeoutMs`; what comes later is discarded.
 * @throws UNAVAILABLE then
 */
export async function within<T>(
  timeoutMs: number,
  stop: AbortSignal,
  load: (signal: AbortSignal) => Promise<T>,
  discard: (late: T) => Promise<void>,
): Promise<T> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), timeoutMs);
  const loading = load(AbortSignal.any([stop, timeout.signal]));
  try {
    return await new Promise<T>((resolve, reject) => {
      loading.then(resolve, reject);
      timeout.signal.addEventListener('abort', () =>
        reject(new AssayError('UNAVAILABLE', `the version was not loaded within ${timeoutMs} ms`)),
      );
    });
  } catch (error) {
    loading.then(discard, () => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
