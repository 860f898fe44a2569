/**
 * The middle of the way of a prediction: endpoint → variant → version → rows. It knows no transport; the doors translate
 * into it and out of it, and hold no rules.
 */
import { AssayError, type Door, type RoutedVersion, type Signature } from '@assay/contracts';
import type { Explanation, ScoredRows } from '@assay/scoring';
import type { Convergence } from './convergence.ts';
import { type EndpointLimiter, LimitReached } from './endpoint-limits.ts';
import type { LiveSet, LiveVersion } from './live-set.ts';
import {
  chooseVariant,
  findEndpoint,
  pinnedVariant,
  type ServedEndpoint,
  type ServedVariant,
} from './routing-table.ts';
import type { Shadows } from './shadows.ts';
import type { AppendRows, RunOptions, ServingObserver } from './version.ts';

export interface ScoreOptions {
  /** Through which the request came: for the measurements. */
  readonly door: Door;
  /** Sends equal keys to the same variant, on every replica. Without one the variant is drawn by the weights. */
  readonly key?: string | undefined;
  /** Version number or version id: that variant and no other. */
  readonly version?: string | undefined;
  /** When the request arrived, on the clock of `performance.now()`. */
  readonly receivedAtMs: number;
  /** How long the caller waits, counted from its arrival; default: the endpoint's. */
  readonly timeoutMs?: number | undefined;
  /** Of the request's body, decompressed. */
  readonly sizeBytes?: number | undefined;
  /** Aborted when the caller has gone. */
  readonly signal?: AbortSignal | undefined;
  /** No other request can come in this turn of the event loop, as far as the door knows. */
  readonly isAlone?: boolean | undefined;
  /** Asked once the request is read: the records that are to be explained, if any. */
  readonly explained?: (() => readonly unknown[] | undefined) | undefined;
}

/**
 * Reads a request's rows as the signature of the version that will answer says. It may be asked again, after the answer,
 * for a shadow.
 */
export type ReadRows = (signature: Signature) => AppendRows;

/** The rows of one request, and whose answer they are. */
export interface Scored {
  readonly endpoint: ServedEndpoint;
  readonly variant: ServedVariant;
  readonly rows: ScoredRows;
  /** One a row, where they were asked for. */
  readonly explanations?: readonly Explanation[] | undefined;
}

export interface DataplaneOptions {
  readonly convergence: Convergence;
  readonly live: LiveSet;
  readonly observer: Pick<ServingObserver, 'refused' | 'limited'>;
  /** Without it nothing is given to shadows, as in a stream thread. */
  readonly shadows?: Pick<Shadows, 'offer'>;
  /** No request waits longer, whatever it asks for. */
  readonly maxTimeoutMs: number;
}

export class Dataplane {
  readonly #options: DataplaneOptions;

  constructor(options: DataplaneOptions) {
    this.#options = options;
  }

  /**
   * The endpoint as it answers now; its contract says how to read a request.
   * @throws NOT_FOUND; UNAVAILABLE while its first version is being loaded
   */
  endpoint(name: string): ServedEndpoint {
    const { convergence } = this.#options;
    try {
      return findEndpoint(convergence.table, name);
    } catch (error) {
      if (!convergence.isWanted(name)) throw error;
      const problem = convergence.problemOf(name);
      throw new AssayError(
        'UNAVAILABLE',
        `endpoint "${name}" serves no version yet: ${problem ?? 'its first version is being loaded'}`,
        { retryAfterMs: 1000 },
      );
    }
  }

  /** Every endpoint that answers now. */
  endpoints(): Iterable<ServedEndpoint> {
    return this.#options.convergence.table.values();
  }

  /**
   * Scores one request. All or nothing.
   * @param read turns the request into rows, once it is known which signature it must satisfy
   * @throws NOT_FOUND, INVALID_ARGUMENT with each bad place, OVERLOADED and RATE_LIMITED with a time to come back,
   *   PAYLOAD_TOO_LARGE, DEADLINE_EXCEEDED, CANCELLED, UNAVAILABLE when the chosen version could not be loaded, or
   *   rests and could not be woken in time
   */
  async score(name: string, read: ReadRows, options: ScoreOptions): Promise<Scored> {
    const { live: liveSet, shadows, observer } = this.#options;
    const { door, receivedAtMs, signal, isAlone, sizeBytes = 0 } = options;
    let endpoint: ServedEndpoint | undefined;
    let variant: ServedVariant | undefined;
    let entered: EndpointLimiter | undefined;
    let acquired: LiveVersion | undefined;
    try {
      endpoint = this.endpoint(name);
      const limiter = door === 'kafka' ? undefined : endpoint.limiter; // records wait, and are not refused
      if (limiter !== undefined) {
        limiter.enter(receivedAtMs, sizeBytes);
        entered = limiter;
      }
      variant =
        options.version === undefined ? chooseVariant(endpoint, options.key) : pinnedVariant(endpoint, options.version);
      const { live, recorder } = variant;
      if (live === undefined) throw notLoaded(endpoint, variant.version);
      const deadlineMs = receivedAtMs + this.#timeoutMs(endpoint, options);
      liveSet.acquire(live);
      acquired = live;
      const pending = recorder.statistics;
      if (live.isResting) {
        pending.pendingRequests++;
        try {
          await liveSet.wake(live, signal === undefined ? { deadlineMs } : { deadlineMs, signal });
        } finally {
          pending.pendingRequests--;
        }
      }
      const append = (limiter === undefined ? read : counted(read, limiter))(live.loaded.signature);
      const explained = options.explained?.();
      // A record of a stream is its own, and reasons are found by a run of their own.
      const cache = door === 'kafka' || explained !== undefined ? undefined : variant.cache;
      const runOptions: RunOptions =
        signal === undefined
          ? { deadlineMs, cache, isAlone, pending }
          : { deadlineMs, signal, cache, isAlone, pending };
      const rows = await live.loaded.score(append, runOptions);
      recorder.scored(door, rows, performance.now() - receivedAtMs);
      const scored: Scored =
        explained === undefined
          ? { endpoint, variant, rows }
          : { endpoint, variant, rows, explanations: await live.loaded.explain(explained, runOptions) };
      if (endpoint.shadows.length > 0) shadows?.offer({ endpoint, variant, read, rows, sizeBytes });
      return scored;
    } catch (thrown) {
      const error = AssayError.from(thrown);
      if (error instanceof LimitReached) observer.limited(name, error.limit);
      if (variant === undefined) observer.refused(endpoint?.endpoint.name, error.code);
      else variant.recorder.failed(error.code);
      throw error;
    } finally {
      if (acquired !== undefined) liveSet.release(acquired);
      entered?.leave();
    }
  }

  #timeoutMs({ endpoint }: ServedEndpoint, { door, timeoutMs = endpoint.defaultTimeoutMs }: ScoreOptions): number {
    const limitMs = door === 'kafka' ? undefined : endpoint.limits?.timeoutMs;
    return Math.min(timeoutMs, this.#options.maxTimeoutMs, limitMs ?? Number.POSITIVE_INFINITY);
  }
}

/** The same rows, which the endpoint's limits are asked for once they are counted. */
function counted(read: ReadRows, limiter: EndpointLimiter): ReadRows {
  return (signature) => {
    const append = read(signature);
    return (batch) => {
      const rows = append(batch);
      limiter.takeRows(rows, performance.now());
      return rows;
    };
  };
}

function notLoaded(served: ServedEndpoint, version: RoutedVersion): AssayError {
  return new AssayError(
    'UNAVAILABLE',
    `version ${version.version} of "${version.modelName}", which endpoint "${served.endpoint.name}" chose, is not loaded`,
    { retryAfterMs: 1000 },
  );
}
