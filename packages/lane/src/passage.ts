/**
 * The way of one request past the lane: the connection that Node's server sees of it. Node reads the request's bytes from
 * it, and what Node writes goes to the client as it is; when the answer is written the client's connection is the lane's
 * again. Whatever ends it before, on either side, ends the client's connection, as if Node had had that itself.
 *
 * There is one a request and not one a connection: Node's parser and what belongs to it hold more memory than all the rest of
 * an idle connection, and nothing of one request can be taken for the next.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

type Done = (error?: Error | null) => void;

export class Passage extends Duplex {
  readonly #client: Socket;
  readonly #answered: () => void;
  /** Bytes of the request that are still to come. */
  #dueBytes: number;
  #response: ServerResponse | undefined;
  #isAnswered = false;
  #isLeft = false;
  #timesOut = false;
  /** A write that waits for room in the client's socket. */
  #waiting: Done | undefined;

  /**
   * @param sizeBytes of the request, head and body
   * @param answered told once the answer is written, unless the connection ends with it
   */
  constructor(client: Socket, sizeBytes: number, answered: () => void) {
    super({ decodeStrings: false });
    this.#client = client;
    this.#dueBytes = sizeBytes;
    this.#answered = answered;
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

  /** The server began to answer. */
  answerWith(response: ServerResponse): void {
    if (this.#response !== undefined) {
      this.destroy(); // it saw two requests where the lane saw one: nothing on this connection can be trusted
      return;
    }
    this.#response = response;
    response.once('finish', () => {
      this.#isAnswered = true;
      if (!this.writableEnded) this.#answered();
    });
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

  /** When it is over: Node sees the connection end, and what it still does with it does not reach the client. */
  leave(): void {
    this.#isLeft = true;
    if (this.#timesOut) {
      this.#client.off('timeout', this.#onTimeout);
      this.#client.setTimeout(0);
    }
    this.push(null);
    this.resume(); // a body that nobody reads would hold up the end
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

  /** Node asks for it when an answer is written, and routes may. */
  setTimeout(timeoutMs: number, callback?: () => void): this {
    if (this.#isLeft) return this;
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
    if (this.#isLeft || this.#client.write(chunk, encoding)) done();
    else this.#waiting = done;
  }

  /** A head and its body: one packet where they fit. */
  override _writev(chunks: readonly { chunk: string | Buffer; encoding: BufferEncoding }[], done: Done): void {
    let isRoom = true;
    if (!this.#isLeft) {
      this.#client.cork();
      for (const { chunk, encoding } of chunks) isRoom = this.#client.write(chunk, encoding);
      this.#client.uncork();
    }
    if (isRoom) done();
    else this.#waiting = done;
  }

  override _final(done: Done): void {
    if (this.#isLeft) done();
    else this.#client.end(() => done());
  }

  override _destroy(error: Error | null, done: Done): void {
    if (!this.#isLeft) this.#client.destroy();
    done(error);
  }
}
