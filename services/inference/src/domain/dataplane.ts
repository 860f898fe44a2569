/**
 * The middle of the way of a prediction: endpoint → variant → version → rows. It knows no transport; the doors translate
 * into it and out of it, and hold no rules.
 */
import { AssayError, type Door, type RoutedVersion, type Signature } from '@assay/contracts';
import type { Explanation, ScoredRows } from '@assay/scoring';
import type { Convergence } from './convergence.ts';
import { type EndpointLimiter, LimitReached } from './endpoint-limits.ts';
import type { LiveSet } from './live-set.ts';
import {
  chooseVariant,
  findEndpoint,
  pinnedVariant,
  type ServedEndpoint,
  type ServedVariant,
} from './routing-table.ts';
import type { Shadows } from './shadows.ts';
import type { AppendRows, ServingObserver } from './version.ts';

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
    let endpoint: ServedEndpoint | undefined;
    let variant: ServedVariant | undefined;
    let entered: EndpointLimiter | undefined;
    try {
      endpoint = this.endpoint(name);
      const limiter = options.door === 'kafka' ? undefined : endpoint.limiter; // records wait, and are not refused
      if (limiter !== undefined) {
        limiter.enter(options.receivedAtMs, options.sizeBytes ?? 0);
        entered = limiter;
      }
      variant =
        options.version === undefined ? chooseVariant(endpoint, options.key) : pinnedVariant(endpoint, options.version);
      const scored = await this.#run(endpoint, variant, limiter === undefined ? read : counted(read, limiter), options);
      if (endpoint.shadows.length > 0) {
        this.#options.shadows?.offer({ endpoint, variant, read, rows: scored.rows, sizeBytes: options.sizeBytes ?? 0 });
      }
      return scored;
    } catch (thrown) {
      const error = AssayError.from(thrown);
      if (error instanceof LimitReached) this.#options.observer.limited(name, error.limit);
      if (variant === undefined) this.#options.observer.refused(endpoint?.endpoint.name, error.code);
      else variant.recorder.failed(error.code);
      throw error;
    } finally {
      entered?.leave();
    }
  }

  async #run(endpoint: ServedEndpoint, variant: ServedVariant, read: ReadRows, options: ScoreOptions): Promise<Scored> {
    const { live, version, recorder } = variant;
    if (live === undefined) throw notLoaded(endpoint, version);
    const { door, receivedAtMs, timeoutMs = endpoint.endpoint.defaultTimeoutMs, signal } = options;
    const limitMs = door === 'kafka' ? undefined : endpoint.endpoint.limits?.timeoutMs;
    const longestMs = Math.min(this.#options.maxTimeoutMs, limitMs ?? Number.POSITIVE_INFINITY);
    const deadlineMs = receivedAtMs + Math.min(timeoutMs, longestMs);
    this.#options.live.acquire(live);
    try {
      if (live.isResting)
        await this.#options.live.wake(live, signal === undefined ? { deadlineMs } : { deadlineMs, signal });
      const append = read(live.loaded.signature);
      const explained = options.explained?.();
      // A record of a stream is its own, and reasons are found by a run of their own.
      const cache = door === 'kafka' || explained !== undefined ? undefined : variant.cache;
      const runOptions = signal === undefined ? { deadlineMs, cache } : { deadlineMs, signal, cache };
      const rows = await live.loaded.score(append, runOptions);
      const totalMs = performance.now() - receivedAtMs;
      recorder.scored(door, rows, totalMs);
      if (explained === undefined) return { endpoint, variant, rows };
      return { endpoint, variant, rows, explanations: await live.loaded.explain(explained, runOptions) };
    } finally {
      this.#options.live.release(live);
    }
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
