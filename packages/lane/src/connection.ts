/**
 * One connection while it is the lane's: bytes in, requests to their routes, answers out in the order of the requests.
 * It ends by being closed, or by being handed over, which waits until every request before is answered.
 */
import type { Socket } from 'node:net';
import type { Caller, Exchange, FailedAnswer, HeldKeys, RequestHead } from '@assay/http';
import { type AnswerContext, type WireText, writeAnswer } from './answer.ts';
import type { HandoverReason, LaneAnswer } from './interfaces.ts';
import { type ParsedHead, RequestHeadReader } from './request-head.ts';
import type { LaneRoutes, Match } from './routes.ts';

/** What a connection needs of the lane that it belongs to. */
export interface ConnectionOwner {
  readonly exchange: Exchange;
  readonly routes: LaneRoutes;
  readonly keepAliveSeconds: number;
  /** How many the lane has. */
  readonly connections: number;
  /** Takes the socket, whose unread bytes are `rest`. */
  handOver(connection: LaneConnection, rest: Buffer, reason: HandoverReason): void;
  /** The connection is closed or was failed; the lane has nothing to do with it any more. */
  forget(connection: LaneConnection): void;
  /** Answers what cannot become a request as Node's parser would have it answered, and ends the connection. */
  refuse(socket: Socket, code: 'ERR_HTTP_REQUEST_TIMEOUT' | 'HPE_INVALID_EOF_STATE'): void;
}

/** Requests of one connection that may wait for their answers; what comes behind them is not read. */
const MAX_PIPELINED = 64;

/** Bytes behind a text that are cheaper to copy than to write by themselves. */
const SHORT_TAIL_BYTES = 8192;

/** A request whose answer is not written yet. */
interface Slot {
  readonly request: RequestHead;
  readonly route: string;
  readonly startedMs: number;
  caller: Caller | null;
  answer: LaneAnswer | undefined;
  /** The connection is closed behind this answer, whatever else is to come. */
  closes: boolean;
}

/** A head that came, and the route that takes it. Heads of one connection are mostly the same bytes again. */
interface KnownHead {
  readonly bytes: Buffer;
  readonly head: ParsedHead;
  readonly match: Match;
  /** Who was found to call with it, and by which keys. */
  admitted: { readonly caller: Caller | null; readonly by: HeldKeys } | undefined;
}

const NOTHING = Buffer.alloc(0);
const NO_AUTHORIZATION: readonly string[] = [];

export class LaneConnection {
  readonly socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #reader: RequestHeadReader;
  /** Bytes `#from` to `#to` have arrived and are no answered request's. Bytes once written never change. */
  #held: Buffer = NOTHING;
  #from = 0;
  #to = 0;
  /** Whether the memory behind `#to` is this connection's to fill. */
  #owned = false;
  /** The head of the request whose body is arriving. */
  #arriving: KnownHead | undefined;
  #known: KnownHead | undefined;
  readonly #pending: Slot[] = [];
  #handover: HandoverReason | undefined;
  #phase: 'open' | 'ending' | 'gone' = 'open';
  #isReading = true;
  #isPumping = false;
  #isFlushDue = false;
  #needsDrain = false;
  #served = 0;
  /**
   * When the sweep first saw what it sees now: the beginning of a request, or nothing. Undefined before. Not the time
   * itself: after a pause of this thread that would be long ago.
   */
  #sinceMs: number | undefined;
  #writtenBytes = 0;
  #writtenSinceMs = 0;

  constructor(socket: Socket, owner: ConnectionOwner) {
    this.socket = socket;
    this.#owner = owner;
    this.#reader = new RequestHeadReader(owner.exchange.limits.headerBytes);
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#onDrain);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  /** No request waits, none has begun to arrive. */
  get isIdle(): boolean {
    return this.#pending.length === 0 && this.#from === this.#to;
  }

  /** Ends what takes longer than it may. Called by the sweep. */
  checkTimes(nowMs: number): void {
    const { limits } = this.#owner.exchange;
    if (this.socket.writableLength > 0) {
      const written = this.socket.bytesWritten - this.socket.writableLength;
      if (written !== this.#writtenBytes || this.#writtenSinceMs === 0) {
        this.#writtenBytes = written;
        this.#writtenSinceMs = nowMs;
      } else if (nowMs - this.#writtenSinceMs > limits.requestTimeoutMs) this.socket.destroy();
      return;
    }
    this.#writtenSinceMs = 0;
    if (this.#pending.length > 0) return;
    this.#sinceMs ??= nowMs;
    const elapsedMs = nowMs - this.#sinceMs;
    if (this.#from < this.#to) {
      const limitMs =
        this.#arriving === undefined
          ? Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs)
          : limits.requestTimeoutMs;
      if (elapsedMs > limitMs) this.#refuse('ERR_HTTP_REQUEST_TIMEOUT');
    } else if (this.#served === 0) {
      if (elapsedMs > limits.headersTimeoutMs) this.#refuse('ERR_HTTP_REQUEST_TIMEOUT');
    } else if (elapsedMs > limits.keepAliveTimeoutMs) this.socket.destroy();
  }

  /** Gives the socket's events back. */
  release(): void {
    this.#phase = 'gone';
    this.socket.off('data', this.#onData);
    this.socket.off('end', this.#onEnd);
    this.socket.off('drain', this.#onDrain);
    this.socket.off('error', this.#onError);
    this.socket.off('close', this.#onClose);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#phase !== 'open') return;
    if (this.#from === this.#to) {
      this.#sinceMs = undefined;
      this.#hold(chunk, 0, chunk.length, false);
    } else this.#append(chunk);
    this.#pump();
  };

  readonly #onEnd = (): void => {
    if (this.#phase !== 'open') return;
    // As Node has it: who half-closes gets no answer any more.
    if (this.#pending.length === 0 && this.#from < this.#to) this.#refuse('HPE_INVALID_EOF_STATE');
    else this.#finish();
  };

  readonly #onDrain = (): void => {
    this.#needsDrain = false;
    this.#pump();
  };

  /** A reset is an end like another: `close` follows. */
  readonly #onError = (): void => {};

  readonly #onClose = (): void => {
    this.#phase = 'gone';
    for (let left = this.#pending.length; left > 0; left--) this.#owner.exchange.ended(this.socket);
    this.#pending.length = 0;
    this.#owner.forget(this);
  };

  #hold(bytes: Buffer, from: number, to: number, owned: boolean): void {
    this.#held = bytes;
    this.#from = from;
    this.#to = to;
    this.#owned = owned;
  }

  /** Behind the bytes held. Room doubles, so that a body that trickles in is not copied again and again. */
  #append(chunk: Buffer): void {
    const to = this.#to + chunk.length;
    if (!this.#owned || to > this.#held.length) {
      const size = this.#to - this.#from;
      const wanted =
        this.#arriving === undefined ? 0 : this.#arriving.head.sizeBytes + this.#arriving.head.contentLength;
      const room = Buffer.allocUnsafeSlow(Math.max(size + chunk.length, Math.min(wanted, 2 * (size + chunk.length))));
      this.#held.copy(room, 0, this.#from, this.#to);
      this.#hold(room, 0, size, true);
    }
    chunk.copy(this.#held, this.#to);
    this.#to += chunk.length;
  }

  /** Takes whatever requests are whole, as long as there is room for their answers. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#phase === 'open' && this.#from < this.#to && this.#mayTake()) {
      const arrived = this.#arriving ?? this.#readHead();
      if (arrived === undefined) break;
      const { head } = arrived;
      const bodyFrom = this.#from + head.sizeBytes;
      const end = bodyFrom + head.contentLength;
      if (end > this.#to) {
        this.#arriving = arrived;
        break;
      }
      this.#arriving = undefined;
      const body = head.contentLength === 0 ? NOTHING : this.#held.subarray(bodyFrom, end);
      this.#from = end;
      if (this.#from === this.#to) this.#hold(NOTHING, 0, 0, false);
      this.#sinceMs = undefined;
      this.#take(arrived, body);
    }
    this.#isPumping = false;
    if (this.#handover !== undefined && this.#mayLeave()) this.#handOver();
    this.#adjustReading();
  }

  #mayTake(): boolean {
    return this.#handover === undefined && !this.#needsDrain && this.#pending.length < MAX_PIPELINED;
  }

  /** Where answers do not go out Node pauses its parser, which then fails on the records of TLS that came together. */
  #mayLeave(): boolean {
    return this.#phase === 'open' && this.#pending.length === 0 && !this.#needsDrain;
  }

  #adjustReading(): void {
    if (this.#phase !== 'open') return;
    const reads = this.#mayTake();
    if (reads === this.#isReading) return;
    this.#isReading = reads;
    if (reads) this.socket.resume();
    else this.socket.pause();
  }

  /** The head at `#from`; undefined when more bytes are needed, or when it is not for the lane. */
  #readHead(): KnownHead | undefined {
    const known = this.#known;
    if (known !== undefined) {
      if (known.bytes.length <= this.#to - this.#from && standsAt(known.bytes, this.#held, this.#from)) {
        this.#reader.reset();
        return known;
      }
    }
    const head = this.#reader.read(this.#held, this.#from, this.#to);
    if (head === undefined) return undefined;
    if (typeof head === 'string') {
      this.#handover = head;
      return undefined;
    }
    const match = this.#owner.routes.find(head.method, head.path);
    const reason = reasonAgainst(head, match);
    if (match === undefined || reason !== undefined) {
      this.#handover = reason ?? 'route';
      return undefined;
    }
    const bytes = Buffer.from(this.#held.subarray(this.#from, this.#from + head.sizeBytes));
    this.#known = { bytes, head, match, admitted: undefined };
    return this.#known;
  }

  #take(known: KnownHead, body: Buffer): void {
    const { exchange } = this.#owner;
    const { headers, method, path } = known.head;
    const { route, params } = known.match;
    const id = exchange.requestId(headers);
    const request = { id, method, url: path, headers };
    const slot: Slot = {
      request,
      route: route.pattern,
      startedMs: performance.now(),
      caller: null,
      answer: undefined,
      closes: false,
    };
    this.#pending.push(slot);
    this.#served++;
    exchange.began(this.socket);
    try {
      this.#admit(slot, known);
      const isAlone = this.#owner.connections === 1 && this.#pending.length === 1 && this.#from === this.#to;
      const answer = route.handle({ id, headers, socket: this.socket, params, body, isAlone });
      if (answer instanceof Promise) {
        answer.then(
          (done) => this.#settle(slot, done),
          (error: unknown) => this.#settle(slot, this.#failed(slot, error, route.bodyLimitBytes)),
        );
        return;
      }
      this.#settle(slot, answer);
    } catch (error) {
      this.#settle(slot, this.#failed(slot, error, route.bodyLimitBytes));
    }
  }

  #admit(slot: Slot, known: KnownHead): void {
    const { exchange } = this.#owner;
    const { request } = slot;
    slot.closes = true; // behind the refusal of a Host
    exchange.checkHost({ headers: request.headers, httpVersion: '1.1' });
    slot.closes = false;
    const heldKeys = exchange.heldKeys();
    if (heldKeys !== undefined && known.admitted?.by === heldKeys) {
      slot.caller = known.admitted.caller;
      return;
    }
    const { access, endpointParam } = known.match.route;
    const { authorization } = request.headers;
    slot.caller = exchange.checkCaller(
      {
        id: request.id,
        method: request.method,
        url: request.url,
        headers: request.headers,
        httpVersion: '1.1',
        authorizations: authorization === undefined ? NO_AUTHORIZATION : [authorization],
        remoteAddress: this.socket.remoteAddress,
      },
      { access, endpoint: endpointParam === undefined ? undefined : known.match.params[endpointParam] },
    );
    if (heldKeys !== undefined) known.admitted = { caller: slot.caller, by: heldKeys };
  }

  #failed({ request }: Slot, error: unknown, bodyLimitBytes: number): FailedAnswer {
    const { exchange } = this.#owner;
    const failed = exchange.render(error, request, bodyLimitBytes);
    exchange.logFailure(failed, request);
    return failed;
  }

  #settle(slot: Slot, answer: LaneAnswer): void {
    slot.answer = answer;
    if (this.#phase !== 'open') return;
    if (this.#pending.length === 1) {
      this.#flush();
      return;
    }
    // Answers of one run come one after another: together they are one write.
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    process.nextTick(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  /** Writes the answers that are next in order, and goes on with what waited for them. */
  #flush(): void {
    const joins = this.#pending.length > 1;
    if (joins) this.socket.cork();
    for (let slot = this.#pending[0]; slot?.answer !== undefined && this.#phase === 'open'; slot = this.#pending[0]) {
      this.#write(slot, slot.answer);
    }
    if (joins) this.socket.uncork();
    this.#sinceMs = undefined;
    this.#pump();
  }

  #write(slot: Slot, answer: LaneAnswer): void {
    const { exchange, keepAliveSeconds } = this.#owner;
    const { request, route, caller, startedMs } = slot;
    const isLast = this.#pending.length === 1 && this.#from === this.#to;
    const closes = slot.closes ? 'refused' : exchange.isClosing && isLast ? 'draining' : 'no';
    const context: AnswerContext = {
      requestId: request.id,
      echoesRequestId: request.headers['x-request-id'] !== undefined,
      closes,
      keepAliveSeconds,
    };
    let { statusCode } = answer;
    let wire: WireText;
    try {
      wire = writeAnswer(answer, context);
    } catch (error) {
      const failed = this.#failed(slot, error, 0);
      statusCode = failed.statusCode;
      wire = writeAnswer(failed, context);
    }
    if (!this.#send(wire, answer.tail)) this.#needsDrain = true;
    this.#pending.shift();
    exchange.answered(route, request, caller, statusCode, performance.now() - startedMs);
    exchange.ended(this.socket);
    if (closes !== 'no') this.#finish();
  }

  #send({ text, encoding }: WireText, tail: Buffer | undefined): boolean {
    if (tail === undefined) return this.socket.write(text, encoding);
    if (tail.length <= SHORT_TAIL_BYTES) return this.socket.write(Buffer.concat([Buffer.from(text, encoding), tail]));
    this.socket.cork();
    this.socket.write(text, encoding);
    const isRoom = this.socket.write(tail);
    this.socket.uncork();
    return isRoom;
  }

  /** What was written goes out, and no more. Requests that wait are dropped when the socket closes. */
  #finish(): void {
    this.#phase = 'ending';
    this.socket.destroySoon();
  }

  #refuse(code: 'ERR_HTTP_REQUEST_TIMEOUT' | 'HPE_INVALID_EOF_STATE'): void {
    this.release();
    this.socket.on('error', this.#onError);
    this.#owner.forget(this);
    this.socket.resume();
    this.#owner.refuse(this.socket, code);
  }

  #handOver(): void {
    const rest = this.#held.subarray(this.#from, this.#to);
    const reason = this.#handover ?? 'route';
    this.release();
    this.#owner.handOver(this, rest, reason);
  }
}

/**
 * Whether `bytes` stand at `from`. It takes as long wherever they differ: the key of the last caller is among them, and a
 * proxy may send others' requests by the same connection.
 */
function standsAt(bytes: Buffer, held: Buffer, from: number): boolean {
  let difference = 0;
  for (let i = 0; i < bytes.length; i++) difference |= (bytes[i] ?? 0) ^ (held[from + i] ?? 0);
  return difference === 0;
}

/** Why a head that is well-formed is not for the lane. */
function reasonAgainst(head: ParsedHead, match: Match | undefined): HandoverReason | undefined {
  if (match === undefined) return 'route';
  const { route, params } = match;
  const isPost = route.method === 'POST';
  if (isPost !== head.contentLength > 0 || head.contentLength > route.bodyLimitBytes) return 'length';
  return route.takes({ headers: head.headers, params }) ? undefined : 'content';
}
