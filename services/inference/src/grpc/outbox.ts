/**
 * What a call sends that is much, at the pace of its caller. Node has little of it at a time; the rest waits here, where it
 * is counted with what all calls hold, where it is seen when the caller takes nothing, and from where it can be dropped.
 */
import type { ServerHttp2Stream } from 'node:http2';

/** Node tells when all that it was given is taken: so much at once, and a caller that reads slowly is seen to read. */
export const PIECE_BYTES = 64 * 1024;

export class Outbox {
  readonly #stream: ServerHttp2Stream;
  readonly #hold: (bytes: number) => void;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** Of the first one that waits. */
  #writtenBytes = 0;
  #isEnding = false;
  #movedAtMs = 0;

  /** @param hold makes room for bytes that wait, or gives it back; it may throw */
  constructor(stream: ServerHttp2Stream, hold: (bytes: number) => void) {
    this.#stream = stream;
    this.#hold = hold;
    stream.on('drain', () => this.#moved());
  }

  /** Whether the caller is behind, so that nothing more should be made for it. */
  get isFull(): boolean {
    return this.#waiting.length > 0 || this.#stream.writableNeedDrain;
  }

  /** When a caller that is behind took something last, or fell behind. */
  get movedAtMs(): number {
    return this.#movedAtMs;
  }

  /** @throws what `hold` throws; then nothing of it is sent */
  send(framed: Buffer): void {
    const wasFull = this.isFull;
    if (!wasFull && this.#stream.writableLength + framed.length <= PIECE_BYTES) this.#stream.write(framed);
    else {
      this.#hold(framed.length);
      this.#waitingBytes += framed.length;
      this.#waiting.push(framed);
      this.#write();
    }
    if (!wasFull && this.isFull) this.#movedAtMs = performance.now();
  }

  /** Ends the stream after what waits. */
  end(): void {
    this.#isEnding = true;
    if (this.#waiting.length === 0) this.#stream.end();
  }

  drop(): void {
    this.#hold(-this.#waitingBytes);
    this.#waitingBytes = 0;
    this.#waiting.length = 0;
  }

  /** Resolves when the caller has taken all that waited, or with the signal. */
  taken(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (this.isFull && !signal.aborted) return;
        this.#stream.off('drain', look);
        signal.removeEventListener('abort', look);
        resolve();
      };
      this.#stream.on('drain', look);
      signal.addEventListener('abort', look);
      look();
    });
  }

  #moved(): void {
    this.#movedAtMs = performance.now();
    this.#write();
    if (this.#isEnding && this.#waiting.length === 0) this.#stream.end();
  }

  #write(): void {
    for (let [first] = this.#waiting; first !== undefined && !this.#stream.writableNeedDrain; [first] = this.#waiting) {
      const from = this.#writtenBytes;
      this.#writtenBytes = Math.min(first.length, from + PIECE_BYTES);
      this.#stream.write(first.subarray(from, this.#writtenBytes));
      if (this.#writtenBytes < first.length) continue;
      this.#waiting.shift();
      this.#writtenBytes = 0;
      // Not piece by piece: until then the whole of it is in memory.
      this.#waitingBytes -= first.length;
      this.#hold(-first.length);
    }
  }
}
