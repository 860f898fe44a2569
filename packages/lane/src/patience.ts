/** How long a connection may take for what it is to do next, as Node's server has it. The lane's sweep asks. */
import type { Socket } from 'node:net';
import type { HttpLimits } from '@assay/http';

/** What a connection waits for: our own answer, the rest of a head or a body, its first request or its next one. */
export type WaitsFor = 'answer' | 'head' | 'body' | 'first' | 'next';

/** `refuse`: with an answer that says so. */
export type Verdict = 'wait' | 'refuse' | 'close';

type Limits = Pick<HttpLimits, 'headersTimeoutMs' | 'requestTimeoutMs' | 'keepAliveTimeoutMs'>;

export class Patience {
  readonly #limits: Limits;
  /**
   * When the sweep first saw what it sees now: the beginning of a request, or nothing. Undefined before. Not the time
   * itself: after a pause of this thread that would be long ago.
   */
  #sinceMs: number | undefined;
  #writtenBytes = 0;
  #writtenSinceMs = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Something else is waited for. */
  restart(): void {
    this.#sinceMs = undefined;
  }

  judge(socket: Socket, waitsFor: WaitsFor, nowMs: number): Verdict {
    if (socket.writableLength > 0) return this.#judgeWriting(socket, nowMs);
    this.#writtenSinceMs = 0;
    if (waitsFor === 'answer') return 'wait';
    this.#sinceMs ??= nowMs;
    const elapsedMs = nowMs - this.#sinceMs;
    const { headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs } = this.#limits;
    switch (waitsFor) {
      case 'head':
        return elapsedMs > Math.min(headersTimeoutMs, requestTimeoutMs) ? 'refuse' : 'wait';
      case 'body':
        return elapsedMs > requestTimeoutMs ? 'refuse' : 'wait';
      case 'first':
        return elapsedMs > headersTimeoutMs ? 'refuse' : 'wait';
      case 'next':
        return elapsedMs > keepAliveTimeoutMs ? 'close' : 'wait';
    }
  }

  /** Who takes nothing of an answer for so long does not get the rest. */
  #judgeWriting(socket: Socket, nowMs: number): Verdict {
    const written = socket.bytesWritten - socket.writableLength;
    if (written === this.#writtenBytes && this.#writtenSinceMs !== 0) {
      return nowMs - this.#writtenSinceMs > this.#limits.requestTimeoutMs ? 'close' : 'wait';
    }
    this.#writtenBytes = written;
    this.#writtenSinceMs = nowMs;
    return 'wait';
  }
}
