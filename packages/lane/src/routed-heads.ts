/**
 * The heads of one connection's requests, and the routes that take them. They are mostly the same bytes again: what was
 * found for the last one is kept.
 */
import type { Caller, HeldKeys } from '@assay/http';
import type { HandoverReason } from './interfaces.ts';
import { type ParsedHead, RequestHeadReader } from './request-head.ts';
import type { LaneRoutes, Match } from './routes.ts';

export interface RoutedHead {
  readonly bytes: Buffer;
  readonly head: ParsedHead;
  readonly match: Match;
  /** Who was found to call with it, and by which keys. */
  admitted: { readonly caller: Caller | null; readonly by: HeldKeys } | undefined;
}

export class RoutedHeads {
  readonly #routes: LaneRoutes;
  readonly #reader: RequestHeadReader;
  #last: RoutedHead | undefined;

  constructor(routes: LaneRoutes, maxHeadBytes: number) {
    this.#routes = routes;
    this.#reader = new RequestHeadReader(maxHeadBytes);
  }

  /**
   * The head at `from`; why it is not for the lane; undefined when more bytes are needed. Between two calls for one head
   * the bytes before must not change.
   */
  read(held: Buffer, from: number, to: number): RoutedHead | HandoverReason | undefined {
    const last = this.#last;
    if (last !== undefined && last.bytes.length <= to - from && standsAt(last.bytes, held, from)) {
      this.#reader.reset();
      return last;
    }
    const head = this.#reader.read(held, from, to);
    if (head === undefined || typeof head === 'string') return head;
    const match = this.#routes.find(head.method, head.path);
    if (match === undefined) return 'route';
    const reason = reasonAgainst(head, match);
    if (reason !== undefined) return reason;
    const bytes = Buffer.from(held.subarray(from, from + head.sizeBytes));
    this.#last = { bytes, head, match, admitted: undefined };
    return this.#last;
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
function reasonAgainst(head: ParsedHead, { route, params }: Match): HandoverReason | undefined {
  const isPost = route.method === 'POST';
  if (isPost !== head.contentLength > 0 || head.contentLength > route.bodyLimitBytes) return 'length';
  return route.takes({ headers: head.headers, params }) ? undefined : 'content';
}
