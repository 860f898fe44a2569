/** A launch's log: bounded while it is written, and read while it grows. */
import { appendFile, open, stat, truncate } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const READ_CHUNK_BYTES = 64 * 1024;
const FOLLOW_POLL_MS = 100;

/** What is kept of a log that is dropped: a job may print its last line just before. */
const KEPT_BYTES = 16 * 1024;

/** Drops what a job has printed but its last lines when it is more than `maxBytes`; the job goes on behind them. */
export async function boundLog(path: string, maxBytes: number): Promise<void> {
  const { size } = await stat(path);
  if (size <= maxBytes) return;
  const tail = await logTail(path, Math.min(KEPT_BYTES, Math.floor(maxBytes / 2)));
  await truncate(path, 0);
  const lines = tail.slice(tail.indexOf('\n') + 1);
  await appendFile(path, `[the log grew over ${maxBytes} bytes; what came before is dropped]\n${lines}`);
}

/** @param isOver whether nothing more will be written; asked before the last read, so that nothing is missed */
export async function* readLog(
  path: string,
  options: { readonly isOver: () => Promise<boolean>; readonly signal: AbortSignal | undefined },
): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r');
  try {
    let position = 0;
    for (;;) {
      options.signal?.throwIfAborted();
      const over = await options.isOver();
      if ((await file.stat()).size < position) position = 0; // it was dropped
      for (;;) {
        const { bytesRead, buffer } = await file.read(new Uint8Array(READ_CHUNK_BYTES), 0, READ_CHUNK_BYTES, position);
        if (bytesRead === 0) break;
        position += bytesRead;
        yield buffer.subarray(0, bytesRead);
        options.signal?.throwIfAborted();
      }
      if (over) return;
      await delay(FOLLOW_POLL_MS, undefined, options.signal === undefined ? {} : { signal: options.signal });
    }
  } finally {
    await file.close();
  }
}

/** The last bytes, as text. */
export async function logTail(path: string, maxBytes: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const length = Math.min(size, maxBytes);
    const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, size - length);
    return new TextDecoder().decode(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}
