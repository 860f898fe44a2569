/** One call: from its headers to its trailers. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import { AssayError } from '@assay/contracts';
import { type ArrivedRequest, authorizationsOf, type Caller, type Exchange, type RouteNeeds } from '@assay/http';
import { ACCEPTED_ENCODINGS, compress, type Encoding, isWorthCompressing, readEncoding } from './compression.ts';
import { readTimeoutMs } from './deadline.ts';
import { frame, PREFIX_BYTES } from './framing.ts';
import { Inbox } from './inbox.ts';
import type { Method, StreamCall, StreamHandler, UnaryMethod } from './method.ts';
import { Outbox, PIECE_BYTES } from './outbox.ts';
import { errorTrailers, OK_TRAILERS, type Trailers } from './status.ts';

/** What calls share. */
export interface CallOwner {
  readonly exchange: Exchange;
  readonly methods: ReadonlyMap<string, Method>;
  readonly maxMessageBytes: number;
  /** Makes room for bytes of messages that are not whole yet and of answers that wait, or gives it back. @throws OVERLOADED */
  readonly hold: (bytes: number) => void;
  forget(call: Call): void;
}

const CONTENT_TYPE = /^application\/grpc(\+proto)?(;|$)/;
const { HTTP2_HEADER_PATH, HTTP2_HEADER_METHOD, HTTP2_HEADER_AUTHORITY } = constants;
const { NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM } = constants;

export class Call implements StreamCall {
  readonly head: ArrivedRequest;
  readonly arrivedAtMs = performance.now();
  timeoutMs: number | undefined;
  readonly #stream: ServerHttp2Stream;
  readonly #owner: CallOwner;
  readonly #gone = new AbortController();
  #route = 'unmatched';
  #caller: Caller | null = null;
  #encoding: Encoding = 'identity';
  #inbox: Inbox | undefined;
  /** Of a method that gives many messages, or of one large one. */
  #outbox: Outbox | undefined;
  /** Of a method that takes many messages. */
  #handler: StreamHandler | undefined;
  /** A message was taken, of a method that takes one. */
  #isTaken = false;
  #isPumping = false;
  #hasEnded = false;
  #trailers: Trailers | undefined;
  /** When it was answered; from then on it only waits for its caller to read. */
  #answeredAtMs: number | undefined;

  constructor(
    owner: CallOwner,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
    remoteAddress: string | undefined,
  ) {
    this.#owner = owner;
    this.#stream = stream;
    const host = headers[HTTP2_HEADER_AUTHORITY] ?? headers.host;
    this.head = {
      id: owner.exchange.requestId(headers),
      method: String(headers[HTTP2_HEADER_METHOD] ?? ''),
      url: String(headers[HTTP2_HEADER_PATH] ?? ''),
      headers: host === undefined ? headers : Object.assign(headers, { host }),
      httpVersion: '2.0',
      authorizations: authorizationsOf(rawHeaders),
      remoteAddress,
    };
    stream.once('close', () => this.#closed());
    try {
      this.#begin();
    } catch (error) {
      this.finish(AssayError.from(error));
    }
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Whether ending it now takes nothing from its caller. */
  get isQuiet(): boolean {
    return this.#handler?.isQuiet === true && !this.#isPumping && this.#inbox?.heldBytes === 0;
  }

  get isAnswered(): boolean {
    return this.#answeredAtMs !== undefined;
  }

  check(needs: RouteNeeds): void {
    // That the caller may use the method is known; what is left are keys that are limited to some endpoints.
    if (this.#caller?.endpoints != null) this.#owner.exchange.checkCaller(this.head, needs);
  }

  send(framed: Buffer): void {
    if (this.#answeredAtMs !== undefined || this.#stream.destroyed) return;
    if (!this.#stream.headersSent) this.#respond();
    try {
      this.#outbox?.send(framed);
    } catch (error) {
      this.#abandon(AssayError.from(error), NGHTTP2_ENHANCE_YOUR_CALM);
    }
  }

  finish(error?: AssayError): void {
    if (this.#answeredAtMs !== undefined) return;
    const stream = this.#stream;
    this.#settle(error);
    this.#gone.abort(GONE);
    if (stream.destroyed) return;
    const trailers = error === undefined ? OK_TRAILERS : errorTrailers(error);
    if (stream.headersSent || error === undefined) {
      if (!stream.headersSent) this.#respond();
      this.#trailers = trailers;
      (this.#outbox ?? stream).end();
    } else {
      stream.respond({ ...this.#responseHeaders(error), ...trailers }, { endStream: true });
    }
  }

  /** Ends what has taken too long. */
  checkTimes(nowMs: number): void {
    const { requestTimeoutMs } = this.#owner.exchange.limits;
    if (this.#answeredAtMs !== undefined) this.#checkTaken(this.#answeredAtMs, nowMs);
    else if (this.timeoutMs !== undefined && nowMs - this.arrivedAtMs > this.timeoutMs) {
      this.finish(new AssayError('DEADLINE_EXCEEDED', 'the deadline passed before there was an answer'));
    } else if (nowMs - this.#messageSinceMs(nowMs) > requestTimeoutMs) {
      this.finish(new AssayError('REQUEST_TIMEOUT', `the message did not arrive within ${requestTimeoutMs} ms`));
    } else if (this.#outbox?.isFull === true && nowMs - this.#outbox.movedAtMs > requestTimeoutMs) {
      const error = new AssayError('CANCELLED', `nothing of the answers was taken for ${requestTimeoutMs} ms`);
      this.#abandon(error, NGHTTP2_CANCEL); // a status would wait behind the answers
    }
  }

  #checkTaken(answeredAtMs: number, nowMs: number): void {
    const stream = this.#stream;
    const sinceMs = nowMs - Math.max(answeredAtMs, this.#outbox?.movedAtMs ?? 0);
    if (!stream.writableFinished) {
      if (sinceMs > this.#owner.exchange.limits.requestTimeoutMs) stream.close(NGHTTP2_CANCEL);
    }
    // What it still sends is of no use to anybody. Not at once: a reset overtakes the answer.
    else if (sinceMs > STILL_SENDING_MS && !this.#hasEnded) stream.close(NGHTTP2_NO_ERROR);
  }

  /** When the message began that is arriving. A handler may wait for the next one for as long as it likes. */
  #messageSinceMs(nowMs: number): number {
    if (this.#handler === undefined) return this.#isTaken ? nowMs : this.arrivedAtMs;
    return this.#inbox?.arrivingSinceMs(nowMs, !this.#isPumping) ?? nowMs;
  }

  #begin(): void {
    const { exchange, methods, hold } = this.#owner;
    const { head } = this;
    const { headers, url } = head;
    if (head.method !== 'POST' || !CONTENT_TYPE.test(headers['content-type'] ?? '')) {
      throw new AssayError('UNSUPPORTED_MEDIA_TYPE', 'this port speaks gRPC: POST with content-type: application/grpc');
    }
    exchange.checkHost(head);
    const method = methods.get(url);
    if (method === undefined) {
      throw new AssayError('UNIMPLEMENTED', `there is no method ${JSON.stringify(url.slice(0, 200))}`);
    }
    this.#route = url;
    this.#caller = exchange.checkCaller(head, { access: method.access });
    this.timeoutMs = readTimeoutMs(headers['grpc-timeout']);
    this.#encoding = readEncoding(headers['grpc-encoding']);
    const maxMessageBytes = this.#maxMessageBytes(method);
    const inbox = new Inbox({ encoding: this.#encoding, maxMessageBytes, hold });
    this.#inbox = inbox;
    const stream = this.#stream;
    if (method.kind === 'stream') {
      this.#outbox = new Outbox(stream, hold);
      this.#handler = method.open(this);
    }
    stream.on('data', (chunk: Buffer) => this.#received(chunk, inbox, method));
    stream.once('end', () => this.#ended(method));
  }

  /** Whoever needs no key gets no room either. */
  #maxMessageBytes({ access }: Method): number {
    return access === 'public' ? PUBLIC_MESSAGE_BYTES : this.#owner.maxMessageBytes;
  }

  #received(chunk: Buffer, inbox: Inbox, method: Method): void {
    if (this.#answeredAtMs !== undefined) return;
    try {
      inbox.push(chunk);
      if (method.kind === 'unary') this.#takeOne(inbox, method);
      else void this.#pump();
      if (this.#answeredAtMs === undefined) inbox.count();
    } catch (error) {
      this.finish(AssayError.from(error));
    }
  }

  /** It is answered: what is counted of it, and what has come of messages, which nobody will read. */
  #settle(error: AssayError | undefined): void {
    this.#answeredAtMs = performance.now();
    this.#count(error);
    this.#inbox?.drop();
  }

  /** Ends it without what its caller has not taken yet. */
  #abandon(error: AssayError, resetCode: number): void {
    this.#settle(error);
    this.#gone.abort(GONE);
    this.#outbox?.drop();
    this.#stream.close(resetCode);
  }

  #takeOne(inbox: Inbox, method: UnaryMethod): void {
    const message = this.#isTaken ? undefined : inbox.next();
    if (message !== undefined) this.#isTaken = true;
    if (this.#isTaken && inbox.heldBytes > 0) {
      throw new AssayError('INVALID_ARGUMENT', 'the call has more than the one message that it takes');
    }
    if (message === undefined) return;
    const bytes = inbox.read(message);
    if (bytes instanceof Promise) {
      bytes.then(
        (whole) => this.#answer(method, whole),
        (error: unknown) => this.finish(AssayError.from(error)),
      );
    } else this.#answer(method, bytes);
  }

  #answer(method: UnaryMethod, message: Buffer): void {
    const failed = (error: unknown) => this.finish(AssayError.from(error));
    try {
      const answer = method.handle(message, this);
      if (answer instanceof Promise) answer.then((framed) => this.#sendOnly(framed), failed);
      else this.#sendOnly(answer);
    } catch (error) {
      failed(error);
    }
  }

  #sendOnly(framed: Buffer): void {
    const message = framed.subarray(PREFIX_BYTES);
    const accepted = this.head.headers['grpc-accept-encoding'];
    const encoding = this.#encoding;
    if (isWorthCompressing(message, encoding) && typeof accepted === 'string' && accepted.includes(encoding)) {
      compress(message, encoding).then(
        (compressed) => this.#end(frame(compressed, true)),
        (error: unknown) => this.finish(AssayError.from(error)),
      );
    } else this.#end(framed);
  }

  #end(framed: Buffer): void {
    if (this.#answeredAtMs !== undefined) return;
    const stream = this.#stream;
    if (framed.length > PIECE_BYTES && !stream.destroyed) {
      this.#outbox = new Outbox(stream, this.#owner.hold); // whoever is slow to take it holds that much
      this.send(framed);
      this.finish();
      return;
    }
    this.#settle(undefined);
    if (stream.destroyed) return;
    this.#trailers = OK_TRAILERS;
    this.#respond();
    stream.end(framed);
  }

  /** Gives the handler one message after another, as fast as it answers and the caller reads. */
  async #pump(): Promise<void> {
    const [inbox, handler] = [this.#inbox, this.#handler];
    if (this.#isPumping || inbox === undefined || handler === undefined) return;
    this.#isPumping = true;
    try {
      for (;;) {
        const message = inbox.next();
        if (message === undefined || this.#answeredAtMs !== undefined) break;
        const bytes = inbox.read(message);
        const wait = handler.message(bytes instanceof Promise ? await this.#paused(bytes) : bytes);
        if (wait !== undefined) await this.#paused(wait);
        if (this.#outbox?.isFull) await this.#paused(this.#outbox.taken(this.signal));
      }
      if (this.#answeredAtMs !== undefined) return;
      inbox.count();
      if (this.#hasEnded) this.#endHandler(inbox, handler);
    } catch (error) {
      this.finish(AssayError.from(error));
    } finally {
      this.#isPumping = false;
    }
  }

  async #paused<T>(wait: Promise<T>): Promise<T> {
    this.#stream.pause();
    try {
      return await wait;
    } finally {
      this.#stream.resume();
    }
  }

  #ended(method: Method): void {
    this.#hasEnded = true;
    if (this.#answeredAtMs !== undefined || this.#stream.aborted) return;
    if (method.kind === 'stream') void this.#pump();
    else if (!this.#isTaken) {
      this.finish(new AssayError('INVALID_ARGUMENT', 'the call ended without the one message that it takes'));
    }
  }

  #endHandler(inbox: Inbox, handler: StreamHandler): void {
    if (inbox.heldBytes > 0) throw new AssayError('INVALID_ARGUMENT', 'the call ended within a message');
    handler.ended();
  }

  #responseHeaders(error?: AssayError): Record<string, string | number> {
    return {
      ':status': error?.code === 'UNSUPPORTED_MEDIA_TYPE' ? 415 : 200, // what does not speak gRPC reads that
      'content-type': 'application/grpc',
      'assay-request-id': this.head.id,
      ...(error?.code === 'UNIMPLEMENTED' ? { 'grpc-accept-encoding': ACCEPTED_ENCODINGS } : {}),
      ...(this.#encoding === 'identity' ? {} : { 'grpc-encoding': this.#encoding }),
    };
  }

  #respond(): void {
    const stream = this.#stream;
    stream.once('wantTrailers', () => {
      stream.sendTrailers({ ...this.#trailers });
    });
    stream.respond(this.#responseHeaders(), { waitForTrailers: true });
  }

  #count(error: AssayError | undefined): void {
    const { exchange } = this.#owner;
    const { head } = this;
    const statusCode = error?.kind.httpStatus ?? 200;
    if (error !== undefined) exchange.logFailure({ error, statusCode }, head);
    exchange.answered(this.#route, head, this.#caller, statusCode, performance.now() - this.arrivedAtMs);
  }

  #closed(): void {
    this.#owner.forget(this);
    this.#outbox?.drop();
    if (this.#answeredAtMs !== undefined) return;
    this.#settle(new AssayError('CANCELLED', 'the caller went away before there was an answer'));
    this.#gone.abort(GONE);
  }
}

const STILL_SENDING_MS = 500;
const PUBLIC_MESSAGE_BYTES = 16 * 1024;

/** Made once: an error of its own for each call would cost more than many a call. */
const GONE = new AssayError('CANCELLED', 'the call has ended');
