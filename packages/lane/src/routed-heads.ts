/**
 * The heads of one connection's requests, and the routes that take them. They are mostly the same bytes again: what was
 * found for the last one is kept.
 */
import type { Caller, HeldKeys } from '@assay/http';
import type { HandoverReason } from './interfaces.ts';
import { PASSED, type ParsedHead, RequestHeadReader } from './request-head.ts';
import type { LaneRoutes, Match } from './routes.ts';

export interface RoutedHead {
  readonly bytes: Buffer;
  readonly head: ParsedHead;
  readonly match: Match;
  /** Who was found to call with it, and by which keys. */
  admitted: { readonly caller: Caller | null; readonly by: HeldKeys } | undefined;
}

/** A request that is passed on to Node. */
export interface ForeignRequest {
  /** Why the lane does not answer it itself. */
  readonly reason: HandoverReason;
  /** Head and body. */
  readonly sizeBytes: number;
}

/** A request with a larger body takes its connection along: what Node does not read of it yet is held in memory here. */
const MAX_PASSED_BODY_BYTES = 64 * 1024;

export class RoutedHeads {
  readonly #routes: LaneRoutes;
  readonly #maxHeadBytes: number;
  readonly #reader: RequestHeadReader;
  /** Made for the first request that is not the lane's; most connections have none. */
  #foreignReader: RequestHeadReader | undefined;
  /** Why the request whose head is arriving is not the lane's. */
  #foreignFor: HandoverReason | undefined;
  #last: RoutedHead | undefined;

  constructor(routes: LaneRoutes, maxHeadBytes: number) {
    this.#routes = routes;
    this.#maxHeadBytes = maxHeadBytes;
    this.#reader = new RequestHeadReader(maxHeadBytes);
  }

  /**
   * The head at `from`; the request to be passed on; why its connection is to be handed over; undefined when more bytes are
   * needed. Between two calls for one head the bytes before must not change.
   */
  read(held: Buffer, from: number, to: number): RoutedHead | ForeignRequest | HandoverReason | undefined {
    if (this.#foreignFor !== undefined) return this.#readForeign(held, from, to, this.#foreignFor);
    const last = this.#last;
    if (last !== undefined && last.bytes.length <= to - from && standsAt(last.bytes, held, from)) {
      this.#reader.reset();
      return last;
    }
    const head = this.#reader.read(held, from, to);
    if (head === undefined) return undefined;
    if (typeof head === 'string') return this.#readForeign(held, from, to, head);
    const match = this.#routes.find(head.method, head.path);
    const reason = match === undefined ? 'route' : reasonAgainst(head, match);
    if (match === undefined || reason !== undefined) return foreign(head, reason ?? 'route'); // the other dialect reads no less
    const bytes = Buffer.from(held.subarray(from, from + head.sizeBytes));
    this.#last = { bytes, head, match, admitted: undefined };
    return this.#last;
  }

  #readForeign(
    held: Buffer,
    from: number,
    to: number,
    reason: HandoverReason,
  ): ForeignRequest | HandoverReason | undefined {
    this.#foreignReader ??= new RequestHeadReader(this.#maxHeadBytes, PASSED);
    const head = this.#foreignReader.read(held, from, to);
    this.#foreignFor = head === undefined ? reason : undefined;
    if (head === undefined) return undefined;
    return typeof head === 'string' ? reason : foreign(head, reason);
  }
}

function foreign({ sizeBytes, contentLength }: ParsedHead, reason: HandoverReason): ForeignRequest | HandoverReason {
  return contentLength > MAX_PASSED_BODY_BYTES ? reason : { reason, sizeBytes: sizeBytes + contentLength };
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
function reasonAgainst(head: ParsedHead, { route, params }: Match): HandoverReason | undefined {
  const isPost = route.method === 'POST';
  if (isPost !== head.contentLength > 0 || head.contentLength > route.bodyLimitBytes) return 'length';
  return route.takes({ headers: head.headers, params }) ? undefined : 'content';
}
