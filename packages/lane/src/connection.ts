/**
 * One connection while it is the lane's: bytes in, requests to their routes, answers out in the order of the requests.
 * A request that is none of the lane's is passed on to Node by a way of its own, while what comes behind it waits. It ends by
 * being closed, or by being handed over. Both wait until every request before is answered.
 */
import type { Socket } from 'node:net';
import type { Caller, FailedAnswer, RequestHead } from '@assay/http';
import { callerOf } from './admission.ts';
import { type AnswerContext, sendAnswer, type WireText, writeAnswer } from './answer.ts';
import type { ConnectionOwner } from './connection-owner.ts';
import type { HandoverReason, LaneAnswer } from './interfaces.ts';
import type { Passage } from './passage.ts';
import { Patience, type WaitsFor } from './patience.ts';
import { type ForeignRequest, type RoutedHead, RoutedHeads } from './routed-heads.ts';

/** Requests of one connection that may wait for their answers; what comes behind them is not read. */
const MAX_PIPELINED = 64;

/** What may arrive behind a request that was passed on, and waits for its answer, before the socket is not read. */
const MAX_BEHIND_BYTES = 64 * 1024;

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

const NOTHING = Buffer.alloc(0);

export class LaneConnection {
  readonly socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #heads: RoutedHeads;
  readonly #patience: Patience;
  /** Bytes `#from` to `#to` have arrived and are no answered request's. Bytes once written never change. */
  #held: Buffer = NOTHING;
  #from = 0;
  #to = 0;
  /** Whether the memory behind `#to` is this connection's to fill. */
  #owned = false;
  /** The head of the request whose body is arriving. */
  #arriving: RoutedHead | undefined;
  readonly #pending: Slot[] = [];
  /** The request at `#from`, which is to be passed on when those before it are answered. */
  #foreign: ForeignRequest | undefined;
  /** The way of those that are passed on; kept a while for the next one. */
  #passage: Passage | undefined;
  #isPassing = false;
  #hasPassed = false;
  #handover: HandoverReason | undefined;
  #phase: 'open' | 'ending' | 'gone' = 'open';
  #isReading = true;
  #isPumping = false;
  #isFlushDue = false;
  #needsDrain = false;
  #served = 0;

  constructor(socket: Socket, owner: ConnectionOwner) {
    this.socket = socket;
    this.#owner = owner;
    const { limits } = owner.exchange;
    this.#heads = new RoutedHeads(owner.routes, limits.headerBytes);
    this.#patience = new Patience(limits);
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#onDrain);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  /** No request waits, none has begun to arrive. */
  get isIdle(): boolean {
    return this.#pending.length === 0 && !this.#isPassing && this.#from === this.#to;
  }

  /** Ends what takes longer than it may. Called by the sweep. */
  checkTimes(nowMs: number): void {
    if (this.#isPassing) return; // Node's server does
    if (!this.#hasPassed) this.#closePassage();
    this.#hasPassed = false;
    const verdict = this.#patience.judge(this.socket, this.#waitsFor(), nowMs);
    if (verdict === 'refuse') this.#refuse('ERR_HTTP_REQUEST_TIMEOUT');
    else if (verdict === 'close') this.socket.destroy();
  }

  #waitsFor(): WaitsFor {
    if (this.#pending.length > 0) return 'answer';
    if (this.#from < this.#to) return this.#arriving === undefined ? 'head' : 'body';
    return this.#served === 0 ? 'first' : 'next';
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
      this.#patience.restart();
      this.#hold(chunk, 0, chunk.length, false);
    } else this.#append(chunk);
    this.#pump();
  };

  readonly #onEnd = (): void => {
    if (this.#phase !== 'open') return;
    // As Node has it: who half-closes gets no answer any more.
    if (this.#isPassing) this.#passage?.ended();
    else if (this.#pending.length === 0 && this.#from < this.#to) this.#refuse('HPE_INVALID_EOF_STATE');
    else this.#finish();
  };

  readonly #onDrain = (): void => {
    this.#needsDrain = false;
    this.#passage?.drained();
    this.#pump();
  };

  /** A reset is an end like another: `close` follows. */
  readonly #onError = (): void => {};

  readonly #onClose = (): void => {
    this.#phase = 'gone';
    for (let left = this.#pending.length; left > 0; left--) this.#owner.exchange.ended(this.socket);
    this.#pending.length = 0;
    this.#closePassage();
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
    if (this.#isPassing) this.#feed();
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
      this.#patience.restart();
      this.#take(arrived, body);
    }
    this.#isPumping = false;
    if (this.#foreign !== undefined && this.#mayLeave()) this.#passOn(this.#foreign);
    if (this.#handover !== undefined && this.#mayLeave()) this.#handOver();
    this.#adjustReading();
  }

  #mayTake(): boolean {
    if (this.#foreign !== undefined || this.#isPassing) return false;
    return this.#handover === undefined && !this.#needsDrain && this.#pending.length < MAX_PIPELINED;
  }

  /** Where answers do not go out Node pauses its parser, which then fails on the records of TLS that came together. */
  #mayLeave(): boolean {
    return this.#phase === 'open' && this.#pending.length === 0 && !this.#needsDrain;
  }

  #adjustReading(): void {
    if (this.#phase !== 'open') return;
    // Who goes away while Node answers is seen by reading on.
    const reads = !this.#isPassing ? this.#mayTake() : this.#to - this.#from < MAX_BEHIND_BYTES;
    if (reads === this.#isReading) return;
    this.#isReading = reads;
    if (reads) this.socket.resume();
    else this.socket.pause();
  }

  /** The head at `#from`; undefined when more bytes are needed, or when it is not for the lane. */
  #readHead(): RoutedHead | undefined {
    const found = this.#heads.read(this.#held, this.#from, this.#to);
    if (found === undefined) return undefined;
    if (typeof found === 'string') this.#handover = found;
    else if ('match' in found) return found;
    else this.#foreign = found;
    return undefined;
  }

  #passOn({ reason, sizeBytes }: ForeignRequest): void {
    this.#foreign = undefined;
    this.#served++;
    this.#isPassing = true;
    this.#hasPassed = true;
    this.#owner.passedOn(reason);
    if (this.#passage === undefined || this.#passage.destroyed) {
      this.#passage = this.#owner.openPassage(this.socket, () => this.#pump());
    }
    this.#passage.begin(sizeBytes);
    this.#feed();
  }

  /** Gives the passage what arrived for it, until it is over. */
  #feed(): void {
    const passage = this.#passage;
    if (passage === undefined) return;
    this.#from += passage.feed(this.#held.subarray(this.#from, this.#to));
    if (this.#from === this.#to) this.#hold(NOTHING, 0, 0, false);
    if (!passage.isOver) return;
    this.#isPassing = false;
    this.#patience.restart();
    if (!passage.conclude()) this.#closePassage();
  }

  /** It holds twice the memory of all else that an idle connection has. */
  #closePassage(): void {
    this.#passage?.destroy();
    this.#passage = undefined;
  }

  #take(known: RoutedHead, body: Buffer): void {
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

  #admit(slot: Slot, known: RoutedHead): void {
    const { exchange } = this.#owner;
    const { request } = slot;
    slot.closes = true; // behind the refusal of a Host
    exchange.checkHost({ headers: request.headers, httpVersion: '1.1' });
    slot.closes = false;
    slot.caller = callerOf(exchange, this.socket, request, known);
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
    this.#patience.restart();
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
    if (!sendAnswer(this.socket, wire, answer.tail)) this.#needsDrain = true;
    this.#pending.shift();
    exchange.answered(route, request, caller, statusCode, performance.now() - startedMs);
    exchange.ended(this.socket);
    if (closes !== 'no') this.#finish();
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
    this.#closePassage();
    this.release();
    this.#owner.handOver(this, rest, reason);
  }
}
