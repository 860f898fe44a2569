/** Who calls, and whether they still wait. */
import { AssayError, type Force } from '@assay/contracts';
import { childTrace } from '@assay/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Actor } from '../store/change.ts';

/** Names the git commit that a write comes from; the audit entries of the write hold it. */
export const COMMIT_HEADER = 'assay-commit';
const COMMIT = /^[0-9a-f]{7,64}$/;

/**
 * Who acts, for the audit chain: the caller that the guard of the app found out (`local` as long as there are no keys),
 * and the commit that they say they act for.
 * @throws AssayError INVALID_ARGUMENT for a commit that is none; INTERNAL on a route that declares no scope: nothing is
 *   written in nobody's name
 */
export function actorOf(request: FastifyRequest): Actor {
  const { caller } = request;
  if (caller === null) throw new AssayError('INTERNAL', 'a route that writes must declare the scope that it needs');
  const { principal, keyId } = caller;
  const commit = commitOf(request);
  const trace = childTrace(request.traceContext);
  return { principal, keyId, requestId: request.id, ...trace, ...(commit === undefined ? {} : { commit }) };
}

function commitOf({ headers }: FastifyRequest): string | undefined {
  const commit = headers[COMMIT_HEADER];
  if (commit === undefined || (typeof commit === 'string' && COMMIT.test(commit))) return commit;
  const message = 'is not the id of a git commit';
  const expected = '7 to 64 of the digits 0-9 and a-f, once';
  throw new AssayError('INVALID_ARGUMENT', `header ${COMMIT_HEADER}: ${message}; expected ${expected}`, {
    details: [{ place: `header ${COMMIT_HEADER}`, message, expected }],
  });
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
