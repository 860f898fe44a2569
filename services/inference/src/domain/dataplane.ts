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
    // Little is kept while it waits: under load that is most of what the service has in memory.
    const entered = this.#enter(name, options);
    try {
      if (entered.live.isResting) await this.#wake(entered, options);
      const append = appendBy(entered, read);
      const rows = await entered.live.loaded.score(append, this.#runOptions(entered, options));
      entered.variant.recorder.scored(options.door, rows, performance.now() - options.receivedAtMs);
      const explained = options.explained?.();
      const scored =
        explained === undefined ? scoredOf(entered, rows) : await this.#explain(entered, rows, explained, options);
      this.#offer(scored, read, options);
      return scored;
    } catch (thrown) {
      throw this.#failed(AssayError.from(thrown), name, entered);
    } finally {
      this.#options.live.release(entered.live);
      entered.limiter?.leave();
    }
  }

  /** Lets the request in and chooses who answers it, whose version stays loaded until it is released. */
  #enter(name: string, { door, key, version, receivedAtMs, sizeBytes = 0 }: ScoreOptions): Entered {
    let endpoint: ServedEndpoint | undefined;
    let variant: ServedVariant | undefined;
    let limiter: EndpointLimiter | undefined;
    try {
      endpoint = this.endpoint(name);
      const asked = door === 'kafka' ? undefined : endpoint.limiter; // records wait, and are not refused
      if (asked !== undefined) {
        asked.enter(receivedAtMs, sizeBytes);
        limiter = asked;
      }
      variant = version === undefined ? chooseVariant(endpoint, key) : pinnedVariant(endpoint, version);
      const { live } = variant;
      if (live === undefined) throw notLoaded(endpoint, variant.version);
      this.#options.live.acquire(live);
      return { endpoint, variant, live, limiter };
    } catch (thrown) {
      limiter?.leave();
      throw this.#failed(AssayError.from(thrown), name, { endpoint, variant });
    }
  }

  async #wake({ live, variant, endpoint }: Entered, options: ScoreOptions): Promise<void> {
    const { signal, receivedAtMs } = options;
    const deadlineMs = receivedAtMs + this.#timeoutMs(endpoint, options);
    const pending = variant.recorder.statistics;
    pending.pendingRequests++;
    try {
      await this.#options.live.wake(live, signal === undefined ? { deadlineMs } : { deadlineMs, signal });
    } finally {
      pending.pendingRequests--;
    }
  }

  /** After the request was read: whether it asks for reasons is in it. */
  #runOptions({ endpoint, variant }: Entered, options: ScoreOptions): RunOptions {
    const { door, receivedAtMs, signal, isAlone, explained } = options;
    const deadlineMs = receivedAtMs + this.#timeoutMs(endpoint, options);
    // A record of a stream is its own, and reasons are found by a run of their own.
    const cache = door === 'kafka' || explained?.() !== undefined ? undefined : variant.cache;
    const pending = variant.recorder.statistics;
    return signal === undefined
      ? { deadlineMs, cache, isAlone, pending }
      : { deadlineMs, signal, cache, isAlone, pending };
  }

  async #explain(
    entered: Entered,
    rows: ScoredRows,
    explained: readonly unknown[],
    options: ScoreOptions,
  ): Promise<Scored> {
    const explanations = await entered.live.loaded.explain(explained, this.#runOptions(entered, options));
    return { ...scoredOf(entered, rows), explanations };
  }

  #offer({ endpoint, variant, rows }: Scored, read: ReadRows, { sizeBytes = 0 }: ScoreOptions): void {
    if (endpoint.shadows.length > 0) this.#options.shadows?.offer({ endpoint, variant, read, rows, sizeBytes });
  }

  /** Counts what came to nothing. */
  #failed(error: AssayError, name: string, { endpoint, variant }: Chosen): AssayError {
    const { observer } = this.#options;
    if (error instanceof LimitReached) observer.limited(name, error.limit);
    if (variant === undefined) observer.refused(endpoint?.endpoint.name, error.code);
    else variant.recorder.failed(error.code);
    return error;
  }

  #timeoutMs({ endpoint }: ServedEndpoint, { door, timeoutMs = endpoint.defaultTimeoutMs }: ScoreOptions): number {
    const limitMs = door === 'kafka' ? undefined : endpoint.limits?.timeoutMs;
    return Math.min(timeoutMs, this.#options.maxTimeoutMs, limitMs ?? Number.POSITIVE_INFINITY);
  }
}

/** What is known so far of who answers a request. */
interface Chosen {
  readonly endpoint: ServedEndpoint | undefined;
  readonly variant: ServedVariant | undefined;
}

/** A request from the choice of its variant until it is answered. */
interface Entered extends Chosen {
  readonly endpoint: ServedEndpoint;
  readonly variant: ServedVariant;
  readonly live: LiveVersion;
  /** Of an endpoint that has limits. */
  readonly limiter: EndpointLimiter | undefined;
}

function appendBy({ live, limiter }: Entered, read: ReadRows): AppendRows {
  return (limiter === undefined ? read : counted(read, limiter))(live.loaded.signature);
}

function scoredOf({ endpoint, variant }: Entered, rows: ScoredRows): Scored {
  return { endpoint, variant, rows };
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
