/**
 * The words of the gRPC door. A **method** is what a path names; a **call** is one stream of HTTP/2 that asks for it. A
 * method is given whole messages and gives framed ones; framing, compression, keys, deadlines, statuses and what is counted
 * are the call's.
 */
import type { AssayError } from '@assay/contracts';
import type { ArrivedRequest, RouteAccess, RouteNeeds } from '@assay/http';

/** What a method may know of its call. */
export interface CallContext {
  readonly head: ArrivedRequest;
  readonly arrivedAtMs: number;
  /** From `arrivedAtMs`; undefined where the caller does not say. */
  readonly timeoutMs: number | undefined;
  /** Aborted when the caller has gone, or the call has ended otherwise. */
  readonly signal: AbortSignal;
  /** @throws UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE for who calls */
  check(needs: RouteNeeds): void;
}

/** One message in, one out. */
export interface UnaryMethod {
  readonly kind: 'unary';
  readonly access: RouteAccess;
  /** @returns the answer with its prefix */
  handle(message: Buffer, call: CallContext): Promise<Buffer> | Buffer;
}

/** Messages in, messages out, in any number. */
export interface StreamMethod {
  readonly kind: 'stream';
  readonly access: RouteAccess;
  open(call: StreamCall): StreamHandler;
}

export type Method = UnaryMethod | StreamMethod;

export interface StreamCall extends CallContext {
  /** Sends what is framed already, one message or several. Nothing after the end. */
  send(framed: Buffer): void;
  /** Ends the call, once. */
  finish(error?: AssayError): void;
}

export interface StreamHandler {
  /** The next one is given when the promise, if there is one, resolves: so is the caller held back. */
  message(bytes: Buffer): Promise<void> | undefined;
  /** The caller sends no more. */
  ended(): void;
  /** Whether nothing that was sent waits for its answer. */
  readonly isQuiet: boolean;
}
