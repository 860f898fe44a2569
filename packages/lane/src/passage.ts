/**
 * The way of requests past the lane: the connection that Node's server sees of them. Node reads a request's bytes from it, and
 * what Node writes goes to the client as it is; when the answer is written the client's connection is the lane's again, and
 * the passage waits for the next such request. Whatever ends it under way, on either side, ends the client's connection, as
 * if Node had had that itself.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

type Done = (error?: Error | null) => void;

export class Passage extends Duplex {
  readonly #client: Socket;
  readonly #answered: () => void;
  /** A request is being read or answered. */
  #isUnderWay = false;
  /** Bytes of it that are still to come. */
  #dueBytes = 0;
  #response: ServerResponse | undefined;
  #isAnswered = false;
  #timesOut = false;
  /** A write that waits for room in the client's socket. */
  #waiting: Done | undefined;

  /** @param answered told once an answer is written, unless the connection ends with it */
  constructor(client: Socket, answered: () => void) {
    super({ decodeStrings: false });
    this.#client = client;
    this.#answered = answered;
  }

  /** @param sizeBytes of the request, head and body */
  begin(sizeBytes: number): void {
    this.#isUnderWay = true;
    this.#dueBytes = sizeBytes;
    this.#response = undefined;
    this.#isAnswered = false;
  }

  /** The request has arrived, its answer is written, and the connection stays. */
  get isOver(): boolean {
    return this.#isAnswered && this.#dueBytes === 0 && !this.writableEnded && !this.destroyed;
  }

  /** Takes of these bytes what is the request's, which must not change any more. @returns how many that are */
  feed(bytes: Buffer): number {
    const size = Math.min(this.#dueBytes, bytes.length);
    if (size === 0) return 0;
    this.#dueBytes -= size;
    this.push(bytes.subarray(0, size));
    return size;
  }

  /** The server has read the head, and begins to answer. */
  answerWith(response: ServerResponse): void {
    if (!this.#isUnderWay || this.#response !== undefined) {
      this.#isUnderWay = true;
      this.destroy(); // it saw more requests than the lane saw: nothing on this connection can be trusted
      return;
    }
    this.#response = response;
    response.on('finish', this.#onFinish);
  }

  readonly #onFinish = (): void => {
    this.#isAnswered = true;
    if (!this.writableEnded) this.#answered();
  };

  /**
   * When a request is over: what Node still does here does not reach the client, nor does this stream's end.
   * @returns whether another can go this way: Node has read this one to its end
   */
  conclude(): boolean {
    this.#isUnderWay = false;
    if (this.#timesOut) {
      this.#timesOut = false;
      this.#client.off('timeout', this.#onTimeout);
      this.#client.setTimeout(0);
    }
    return this.#response?.req.complete === true;
  }

  /** There is room in the client's socket again. */
  drained(): void {
    const done = this.#waiting;
    this.#waiting = undefined;
    done?.();
  }

  /** The client sends no more. */
  ended(): void {
    this.push(null);
  }

  get remoteAddress(): string | undefined {
    return this.#client.remoteAddress;
  }

  get remoteFamily(): string | undefined {
    return this.#client.remoteFamily;
  }

  get remotePort(): number | undefined {
    return this.#client.remotePort;
  }

  get localAddress(): string | undefined {
    return this.#client.localAddress;
  }

  get localPort(): number | undefined {
    return this.#client.localPort;
  }

  /** As TLS sockets have it. */
  get encrypted(): boolean {
    return (this.#client as Partial<TLSSocket>).encrypted === true;
  }

  /** For routes that set one. Node itself does between requests, when the time is the lane's to watch. */
  setTimeout(timeoutMs: number, callback?: () => void): this {
    if (!this.#isUnderWay || this.#response?.writableFinished === true) return this;
    if (timeoutMs === 0 && !this.#timesOut) return this;
    if (!this.#timesOut) this.#client.on('timeout', this.#onTimeout);
    this.#timesOut = true;
    if (callback !== undefined) this.once('timeout', callback);
    this.#client.setTimeout(timeoutMs);
    return this;
  }

  /** As that of a socket: ends, and is destroyed once all is written. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  readonly #onTimeout = (): void => void this.emit('timeout');

  override _read(): void {}

  override _write(chunk: string | Buffer, encoding: BufferEncoding, done: Done): void {
    if (!this.#isUnderWay || this.#client.write(chunk, encoding)) done();
    else this.#waiting = done;
  }

  /** A head and its body: one packet where they fit. */
  override _writev(chunks: readonly { chunk: string | Buffer; encoding: BufferEncoding }[], done: Done): void {
    let isRoom = true;
    if (this.#isUnderWay) {
      this.#client.cork();
      for (const { chunk, encoding } of chunks) isRoom = this.#client.write(chunk, encoding);
      this.#client.uncork();
    }
    if (isRoom) done();
    else this.#waiting = done;
  }

  override _final(done: Done): void {
    if (this.#isUnderWay) this.#client.end(() => done());
    else done();
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.#isUnderWay) this.#client.destroy();
    done(error);
  }
}
