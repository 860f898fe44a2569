/**
 * What an endpoint takes from its callers in this process: rates, requests at once, rows and bytes of one request. Streams
 * are not callers: a record waits and is not refused.
 */
import { AssayError, type EndpointLimits, type ErrorCode } from '@assay/contracts';
import { Pace } from './pace.ts';

/** As metrics name them. */
export type LimitName = 'requests_per_second' | 'rows_per_second' | 'concurrency' | 'rows' | 'bytes';

export class LimitReached extends AssayError {
  readonly limit: LimitName;

  constructor(
    code: Extract<ErrorCode, 'RATE_LIMITED' | 'PAYLOAD_TOO_LARGE'>,
    limit: LimitName,
    message: string,
    retryAfterMs?: number,
  ) {
    super(code, message, retryAfterMs === undefined ? {} : { retryAfterMs });
    this.limit = limit;
  }
}

const DEFAULT_BURST_MS = 1000;
/** Of a request that is refused because others are being answered: when they are done nobody knows. */
const BUSY_RETRY_MS = 100;

/** Of one endpoint, for as long as it is there: what is in flight and what is owed outlive a change of the limits. */
export class EndpointLimiter {
  readonly #name: string;
  #limits: EndpointLimits;
  #inFlight = 0;
  readonly #requests = new Pace(1, DEFAULT_BURST_MS);
  readonly #rows = new Pace(1, DEFAULT_BURST_MS);

  constructor(name: string, limits: EndpointLimits) {
    this.#name = name;
    this.#limits = limits;
    this.change(limits);
  }

  change(limits: EndpointLimits): void {
    const { requestsPerSecond, rowsPerSecond, burstMs = DEFAULT_BURST_MS } = limits;
    this.#limits = limits;
    if (requestsPerSecond !== undefined) this.#requests.change(requestsPerSecond, burstMs);
    if (rowsPerSecond !== undefined) this.#rows.change(rowsPerSecond, burstMs);
  }

  /**
   * A request begins, before its body is parsed; each that was let in ends with `leave`.
   * @throws LimitReached
   */
  enter(nowMs: number, bytes: number): void {
    const { concurrency, requestsPerSecond, bytesPerRequest } = this.#limits;
    if (bytesPerRequest !== undefined && bytes > bytesPerRequest) {
      throw this.#tooLarge('bytes', `${bytes} bytes are more than the ${bytesPerRequest}`);
    }
    if (concurrency !== undefined && this.#inFlight >= concurrency) {
      throw this.#limited('concurrency', `answers ${concurrency} requests at once`, BUSY_RETRY_MS);
    }
    if (requestsPerSecond !== undefined) {
      const waitMs = this.#requests.take(1, nowMs);
      if (waitMs > 0)
        throw this.#limited('requests_per_second', `takes ${requestsPerSecond} requests a second`, waitMs);
    }
    this.#inFlight++;
  }

  leave(): void {
    this.#inFlight--;
  }

  /**
   * The rows of a request that was let in, as soon as they are counted.
   * @throws LimitReached
   */
  takeRows(rows: number, nowMs: number): void {
    const { rowsPerRequest, rowsPerSecond } = this.#limits;
    if (rowsPerRequest !== undefined && rows > rowsPerRequest) {
      throw this.#tooLarge('rows', `${rows} rows are more than the ${rowsPerRequest}`);
    }
    if (rowsPerSecond !== undefined) {
      const waitMs = this.#rows.take(rows, nowMs);
      if (waitMs > 0) throw this.#limited('rows_per_second', `takes ${rowsPerSecond} rows a second`, waitMs);
    }
  }

  #limited(limit: LimitName, what: string, retryAfterMs: number): LimitReached {
    return new LimitReached('RATE_LIMITED', limit, `endpoint "${this.#name}" ${what}; try again later`, retryAfterMs);
  }

  #tooLarge(limit: LimitName, what: string): LimitReached {
    return new LimitReached('PAYLOAD_TOO_LARGE', limit, `${what} that endpoint "${this.#name}" takes in one request`);
  }
}
