/** The routing key of a call, by the same rules as over HTTP. */
import type { IncomingHttpHeaders } from 'node:http';
import { ROUTING_KEY_HEADER, readRoutingKey as readHeader } from '../http/caller.ts';

/** @throws INVALID_ARGUMENT */
export function readRoutingKey(metadata: IncomingHttpHeaders): string | undefined {
  const key = metadata[ROUTING_KEY_HEADER];
  return key === undefined ? undefined : readHeader(key);
}
