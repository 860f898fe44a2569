/** Who calls, and whether they still wait. */
import { AssayError, type Force } from '@assay/contracts';
import { childTraceparent } from '@assay/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Actor } from '../store/change.ts';

/**
 * Who acts, for the audit chain: the caller that the guard of the app found out (`local` as long as there are no keys).
 * @throws AssayError INTERNAL on a route that declares no scope: nothing is written in nobody's name
 */
export function actorOf(request: FastifyRequest): Actor {
  const { caller } = request;
  if (caller === null) throw new AssayError('INTERNAL', 'a route that writes must declare the scope that it needs');
  const { principal, keyId } = caller;
  return { principal, keyId, requestId: request.id, traceparent: childTraceparent(request.traceContext) };
}

/**
 * Who moves things is not who may do it against the gates.
 * @throws AssayError PERMISSION_DENIED where the body forces a move and the key has not the scope `admin`
 */
export function checkForce({ caller }: FastifyRequest, force: Force | undefined): void {
  if (force === undefined || caller?.scopes.has('admin') === true) return;
  throw new AssayError(
    'PERMISSION_DENIED',
    `force needs the scope admin; ${caller === null ? 'nobody' : `key ${caller.keyId} of ${caller.principal}`} has not`,
  );
}

/**
 * Aborted when the caller goes away before the answer was sent. (Fastify's own `request.signal` is also aborted when the
 * body was read to its end by iteration, which is not going away.)
 */
export function callerGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const { raw } = reply;
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort(new AssayError('CANCELLED', 'the caller went away before the answer'));
  });
  return controller.signal;
}
