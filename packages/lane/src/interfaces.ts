/**
 * The words of the lane.
 *
 * The **lane** takes each connection of Fastify's server first. It understands a strict subset of HTTP/1.1: requests to the
 * routes that are registered with it, in the form that ordinary clients send. Any other request whose bytes are plain to see
 * is **passed on**: Node's own HTTP server gets it by a connection that has nothing else, its answer goes to the client as
 * Node writes it, and the lane goes on with the next one. Everything else is **handed over**: Node's server gets the
 * connection, with the bytes that were already read, and keeps it. Whatever is doubtful is handed over before a byte of it
 * is answered, so that the lane has no opinion of its own about what a request is.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { RouteAccess } from '@assay/http';

/** Why a request was passed on or its connection handed over. A closed set: it is a label of a metric. */
export type HandoverReason =
  /** Not the beginning of a request line that the lane reads: HTTP/1.0, HTTP/2, PROXY, TLS, bare line feeds, other methods. */
  | 'request_line'
  /** A path that is no route of the lane: other routes, queries, percent-encoding, the absolute form. */
  | 'route'
  /** A header that is not strictly valid: folded, bare line feed, other characters, given twice. */
  | 'header'
  /** More or larger headers than the lane reads. */
  | 'header_size'
  /** No `Host`, or an empty one. */
  | 'host'
  /** The length of the body is not given by one plain `Content-Length` within the route's limit. */
  | 'length'
  /** A header that changes how the connection or the body is read: Expect, Upgrade, Transfer-Encoding, Connection: close … */
  | 'protocol'
  /** The route does not take this request by the lane: another content type, a name that is none. */
  | 'content';

/** A request that was read whole. */
export interface LaneRequest {
  /** The id that it is known by in answers and logs. */
  readonly id: string;
  /** By lower-case name, as Node gives them; none was given twice. */
  readonly headers: IncomingHttpHeaders;
  readonly socket: Socket;
  /** What stood in the path for the parameters of the pattern. */
  readonly params: Readonly<Record<string, string>>;
  /** It is the request's own to keep; empty for GET. */
  readonly body: Buffer;
  /** Its connection is the lane's only one, and nothing came behind it: no other can come in this turn of the event loop. */
  readonly isAlone: boolean;
}

export interface LaneAnswer {
  readonly statusCode: number;
  /** Besides those that every answer has. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** Bytes behind the text. */
  readonly tail?: Buffer;
}

/** A route as Fastify has it too: what the lane does not take goes there, and must be answered alike. */
export interface LaneRoute {
  readonly method: 'GET' | 'POST';
  /** Fastify's pattern: `/v2/models/:model/infer`. A parameter is letters, digits, `.`, `_`, `~` and `-`. */
  readonly pattern: string;
  readonly access: RouteAccess;
  /** The parameter that names the endpoint to be scored, for keys that are limited to some. */
  readonly endpointParam?: string;
  /** Requests with larger bodies are left to Fastify, as are those that `takes` does not take. */
  readonly bodyLimitBytes: number;
  /** Whether the lane takes a request with this head. It must depend on nothing else. */
  takes(head: Pick<LaneRequest, 'headers' | 'params'>): boolean;
  /** Errors become answers in the form of the route's protocol. */
  handle(request: LaneRequest): LaneAnswer | Promise<LaneAnswer>;
}
