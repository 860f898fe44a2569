/** The body of an object, read again from where it was cut off. */
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import { isReplaced } from './object-errors.ts';

const TRIES_WITHOUT_PROGRESS = 4;

/**
 * The bytes from `from` to `to`. Nothing is asked for until it is iterated; a connection that is lost in the middle is
 * taken up where it ended.
 * @param open asks the store for the bytes from an offset to `to`, of the very object that was looked at
 */
export async function* readObject(
  key: string,
  { from, to, signal }: { readonly from: number; readonly to: number; readonly signal: AbortSignal | undefined },
  open: (fromBytes: number) => Promise<AsyncIterable<Uint8Array>>,
): AsyncGenerator<Uint8Array> {
  let position = from;
  let failures = 0;
  while (position < to) {
    signal?.throwIfAborted();
    let cause: unknown;
    try {
      for await (const chunk of await open(position)) {
        position += chunk.byteLength;
        failures = 0;
        yield chunk;
        signal?.throwIfAborted();
      }
      if (position >= to) return;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof AssayError && (error.code !== 'UNAVAILABLE' || isReplaced(error))) throw error;
      cause = error;
    }
    if (++failures >= TRIES_WITHOUT_PROGRESS) {
      if (cause instanceof AssayError) throw cause;
      throw new AssayError('UNAVAILABLE', `blob ${key}: reading it was cut off at byte ${position}`, { cause });
    }
    await delay(50 * 2 ** failures, undefined, signal === undefined ? {} : { signal });
  }
}
