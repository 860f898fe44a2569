import type { Socket } from 'node:net';
import type { Exchange } from '@assay/http';
import type { LaneConnection } from './connection.ts';
import type { HandoverReason } from './interfaces.ts';
import type { Passage } from './passage.ts';
import type { LaneRoutes } from './routes.ts';

/** What a connection needs of the lane that it belongs to. */
export interface ConnectionOwner {
  readonly exchange: Exchange;
  readonly routes: LaneRoutes;
  readonly keepAliveSeconds: number;
  /** How many the lane has. */
  readonly connections: number;
  /** A request was passed on. */
  passedOn(reason: HandoverReason): void;
  /** A way to Node for requests of this socket. @param answered see `Passage` */
  openPassage(socket: Socket, answered: () => void): Passage;
  /** Takes the socket, whose unread bytes are `rest`. */
  handOver(connection: LaneConnection, rest: Buffer, reason: HandoverReason): void;
  /** The connection is closed or was failed; the lane has nothing to do with it any more. */
  forget(connection: LaneConnection): void;
  /** Answers what cannot become a request as Node's parser would have it answered, and ends the connection. */
  refuse(socket: Socket, code: 'ERR_HTTP_REQUEST_TIMEOUT' | 'HPE_INVALID_EOF_STATE'): void;
}
