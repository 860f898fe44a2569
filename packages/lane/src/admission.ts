/** Who calls by the lane. */
import type { Socket } from 'node:net';
import type { Caller, Exchange, RequestHead } from '@assay/http';
import type { RoutedHead } from './routed-heads.ts';

const NO_AUTHORIZATION: readonly string[] = [];

/**
 * As `checkCaller` finds it; with the same head under the same keys, as it was found before.
 * @throws AssayError UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE
 */
export function callerOf(exchange: Exchange, socket: Socket, request: RequestHead, known: RoutedHead): Caller | null {
  const heldKeys = exchange.heldKeys();
  if (heldKeys !== undefined && known.admitted?.by === heldKeys) return known.admitted.caller;
  const { id, method, url, headers } = request;
  const { access, endpointParam } = known.match.route;
  const { authorization } = headers;
  const caller = exchange.checkCaller(
    {
      id,
      method,
      url,
      headers,
      httpVersion: '1.1',
      authorizations: authorization === undefined ? NO_AUTHORIZATION : [authorization],
      remoteAddress: socket.remoteAddress,
    },
    { access, endpoint: endpointParam === undefined ? undefined : known.match.params[endpointParam] },
  );
  if (heldKeys !== undefined) known.admitted = { caller, by: heldKeys };
  return caller;
}
