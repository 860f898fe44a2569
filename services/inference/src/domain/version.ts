/**
 * The words of serving, and what the domain needs from the world around it.
 *
 * - *wanted*: what the newest routing snapshot asks for.
 * - *applied*: what answers requests now. An endpoint moves from its applied revision to the wanted one only when every
 *   version that the wanted one sends traffic to is loaded; until then the applied one keeps answering.
 * - *live*: a version that was loaded, has passed its self-test and can score.
 * - *resting*: a live version that was unloaded to save memory; the next request to it loads it again, which *wakes* it.
 */
import type { Door, ErrorCode, RoutedVersion, RoutingSnapshot, Signature } from '@assay/contracts';
import type { Explanation, InputBatch, PendingCount, ScoredRows, ScorerFindings } from '@assay/scoring';
import type { CacheWatcher, VersionCache } from '@assay/scoring/response-cache';
import type { LimitName } from './endpoint-limits.ts';
import type { ScoreStatistics } from './score-statistics.ts';

/**
 * Puts a request's rows into the batch that is being gathered and gives their number. All or nothing: it throws
 * INVALID_ARGUMENT with every bad place and leaves the batch as it was.
 */
export type AppendRows = (batch: InputBatch) => number;

export interface RunOptions {
  /** On the clock of `performance.now()`. */
  readonly deadlineMs: number;
  /** Aborted when the caller has gone: rows that have not run are dropped. */
  readonly signal?: AbortSignal;
  /** Where equal rows are looked up first. */
  readonly cache?: VersionCache | undefined;
  /** Nobody else can come in this turn of the event loop. */
  readonly isAlone?: boolean | undefined;
  /** Counts the request while its rows are queued and no run has begun with them. */
  readonly pending?: PendingCount | undefined;
}

/** A version in memory. Whoever made it closes it. */
export interface LoadedVersion {
  readonly signature: Signature;
  /**
   * By output, its dimensions after the rows as the graph gives them: `[1]` or none for a scalar, which the signature does
   * not tell apart and a client of tensors sees.
   */
  readonly outputTails: ReadonlyMap<string, readonly number[]>;
  /** The scorer's facts for operators, as JSON. */
  readonly details: Readonly<Record<string, unknown>>;
  /** What a run cost when the version was loaded, alone on the machine. */
  readonly measured: { readonly oneRowMs: number; readonly fullBatchMs: number };
  /** Whether equal rows get equal outputs: else no answer may be used again. */
  readonly repeatable: boolean;
  /** Most rows of one run. */
  readonly maxBatchRows: number;
  /** What loading it found out: it is loaded again in a fraction of the time. */
  readonly findings?: ScorerFindings | undefined;
  score(append: AppendRows, options: RunOptions): Promise<ScoredRows>;
  /**
   * What each feature added to the raw score of these records, in their order; some tenths of a millisecond a record.
   * @throws FAILED_PRECONDITION with the reason where the model cannot be explained; DEADLINE_EXCEEDED, CANCELLED
   */
  explain(records: readonly unknown[], options: RunOptions): Promise<readonly Explanation[]>;
  readonly queuedRows: number;
  /** Waits for the rows that it has, then gives its memory back. Never rejects. */
  close(): Promise<void>;
}

/**
 * Fetches, checks the digests of, loads and self-tests a version; it must not take traffic before.
 * @param before the same version as it was loaded earlier in this process
 * @throws UNPROCESSABLE_MODEL when the package is wrong, UNAVAILABLE when it cannot be had now
 */
export type LoadVersion = (
  version: RoutedVersion,
  signal: AbortSignal,
  before?: LoadedVersion,
) => Promise<LoadedVersion>;

/**
 * Where the routing snapshot comes from. Gives the newest one at once when its revision is not `after`; else when it has
 * moved, or after a few seconds all the same, so that a lost event heals.
 * @param after the revision that the caller holds; undefined when it holds none
 */
export interface RoutingSource {
  next(after: number | undefined, signal: AbortSignal): Promise<RoutingSnapshot>;
}

/** The folder that holds a version's package. It stays while the version is in use. */
export interface PackageSource {
  fetch(version: RoutedVersion, signal: AbortSignal): Promise<string>;
  /** Forgets a package that turned out to be damaged, so that the next fetch gets it anew. */
  discard?(digest: string): Promise<void>;
  /** Told whenever what is in use changes; what is not may be removed. */
  retain?(digests: ReadonlySet<string>): void;
}

/** Measures of one endpoint and version, bound once so that a request pays no look-up. */
export interface ScoreRecorder {
  readonly statistics: ScoreStatistics;
  /** What becomes of the rows that are looked up in a cache. */
  readonly cache: CacheWatcher;
  scored(door: Door, rows: ScoredRows, totalMs: number): void;
  failed(code: ErrorCode): void;
}

/** What the domain tells about itself. */
export interface ServingObserver {
  recorder(endpoint: string, version: RoutedVersion): ScoreRecorder;
  /** A request that no version answered: the endpoint is unknown, or the body was not readable. */
  refused(endpoint: string | undefined, code: ErrorCode): void;
  /** A request that the endpoint's own limits refused; it is told as refused too. */
  limited(endpoint: string, limit: LimitName): void;
  /** Rows that a shadow was to score. */
  shadowRows(endpoint: string, shadow: RoutedVersion, outcome: 'compared' | 'failed' | 'dropped', rows: number): void;
  versionLoaded(version: RoutedVersion, loadMs: number, liveVersions: number): void;
  versionFailed(version: RoutedVersion, error: Error, attempt: number, retryInMs: number): void;
  /** What ran the version ended by itself, and is started again. */
  versionCrashed(version: RoutedVersion, why: string): void;
  versionUnloaded(version: RoutedVersion, liveVersions: number): void;
  /** It was unloaded to make room for another. */
  versionRested(version: RoutedVersion): void;
  /** A request had it loaded again. */
  versionWoken(version: RoutedVersion, wakeMs: number): void;
  endpointApplied(endpoint: string, revision: number, complete: boolean): void;
  /** The wanted revision of an endpoint cannot be applied; undefined when the problem is over. */
  endpointHeldBack(endpoint: string, reason: string | undefined): void;
  snapshotReceived(revision: number): void;
  /** The registry could not be asked. */
  routingUnreachable(error: Error, attempt: number, retryInMs: number): void;
  /** The registry answered with a lower revision than the one that is held. */
  routingWentBack(held: number, received: number, accepted: boolean): void;
}
