/** What a request may be and how long it may take, before any route looks at it. */

export interface HttpLimits {
  /** The largest body of a route that does not set its own `bodyLimit`. */
  readonly bodyBytes: number;
  /** How deep arrays and objects may nest in a JSON body. */
  readonly jsonDepth: number;
  /** The request line and headers. */
  readonly headerBytes: number;
  /** For the whole head to arrive. */
  readonly headersTimeoutMs: number;
  /** For the whole request, body included, to arrive. A service that takes large uploads needs more. */
  readonly requestTimeoutMs: number;
  /** An idle connection is kept this long; more than the 60 s of common load balancers, so that they close first. */
  readonly keepAliveTimeoutMs: number;
  /** Further connections are closed at once, and counted. */
  readonly maxConnections: number;
  /**
   * For a handler to answer, the end of a streamed answer included; then DEADLINE_EXCEEDED, and `request.signal` aborts.
   * Absent: no limit but those of the routes (`handlerTimeout`) and of the callers (`Assay-Timeout-Ms`).
   */
  readonly handlerTimeoutMs?: number;
}

export const DEFAULT_LIMITS: HttpLimits = {
  bodyBytes: 4 * 1024 * 1024,
  jsonDepth: 64,
  headerBytes: 16 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 72_000,
  maxConnections: 10_000,
};
