/** Versions that exist only as objects, for tests of the rules that decide about them. */
import type { RoutedEndpoint, RoutedVersion, RoutingSnapshot, Signature } from '@assay/contracts';
import type { ScoredRows } from '@assay/scoring';
import { ScoreStatistics } from './score-statistics.ts';
import type { LoadedVersion, LoadVersion, RunOptions, ScoreRecorder, ServingObserver } from './version.ts';

export const SIGNATURE: Signature = {
  features: [{ name: 'x', dtype: 'float32', shape: [], nullable: false }],
  outputs: [{ name: 'version', dtype: 'int64', shape: [] }],
};

export function routedVersion(number: number): RoutedVersion {
  return {
    id: `ver_${number}`,
    modelId: 'mdl_1',
    modelName: 'flights',
    version: number,
    digest: String(number).padStart(64, '0'),
    files: [],
  };
}

/** An endpoint that sends all of its traffic to the first of `versions`, or as `weights` say. */
export function routedEndpoint(name: string, revision: number, versions: number[], weights?: number[]): RoutedEndpoint {
  return {
    id: `ept_${name}`,
    name,
    revision,
    contract: SIGNATURE,
    salt: name,
    defaultTimeoutMs: 1000,
    variants: versions.map((number, i) => ({
      versionId: `ver_${number}`,
      weight: weights?.[i] ?? (i === 0 ? 10_000 : 0),
    })),
  };
}

export function snapshot(revision: number, ...endpoints: RoutedEndpoint[]): RoutingSnapshot {
  const numbers = new Set(endpoints.flatMap((e) => e.variants.map((v) => Number(v.versionId.slice('ver_'.length)))));
  return { revision, endpoints, versions: [...numbers].map(routedVersion) };
}

export interface FakeLoader {
  readonly load: LoadVersion;
  /** Versions whose loading fails, with the reason. */
  readonly broken: Map<string, Error>;
  /** Versions whose loading waits until this is resolved. */
  readonly gates: Map<string, Promise<void>>;
  readonly loads: string[];
  readonly closed: string[];
  loadingNow: number;
  /** Whether the models loaded from now on give other outputs each time. */
  isRandom: boolean;
  mostAtOnce: number;
  /** How each request was to be run. */
  readonly runs: RunOptions[];
  /** Holds the answers of a version back until it is resolved. */
  readonly answers: Map<string, Promise<void>>;
}

export function fakeLoader(): FakeLoader {
  const fake: FakeLoader = {
    broken: new Map(),
    gates: new Map(),
    answers: new Map(),
    runs: [],
    loads: [],
    closed: [],
    loadingNow: 0,
    isRandom: false,
    mostAtOnce: 0,
    async load(version, signal) {
      fake.loads.push(version.id);
      fake.loadingNow++;
      fake.mostAtOnce = Math.max(fake.mostAtOnce, fake.loadingNow);
      try {
        await Promise.resolve();
        await fake.gates.get(version.id);
        signal.throwIfAborted();
        const broken = fake.broken.get(version.id);
        if (broken !== undefined) throw broken;
        return fakeVersion(version, fake);
      } finally {
        fake.loadingNow--;
      }
    },
  };
  return fake;
}

function fakeVersion(version: RoutedVersion, fake: FakeLoader): LoadedVersion {
  let closed = false;
  return {
    signature: SIGNATURE,
    outputTails: new Map(),
    details: {},
    measured: { oneRowMs: 0.01, fullBatchMs: 0.1 },
    maxBatchRows: 64,
    repeatable: !fake.isRandom,
    queuedRows: 0,
    explain: async () => [],
    async score(_append, options) {
      fake.runs.push(options);
      await fake.answers.get(version.id);
      if (closed) throw new Error(`version ${version.id} was unloaded while it scored`);
      return {
        rows: 1,
        firstRow: 0,
        queueMs: 0,
        inferenceMs: 0,
        batchRows: 1,
        outputs: NO_OUTPUTS,
      } satisfies ScoredRows;
    },
    async close() {
      closed = true;
      fake.closed.push(version.id);
    },
  };
}

const NO_OUTPUTS: ScoredRows['outputs'] = {
  rows: 0,
  outputs: [],
  record: () => ({}),
  tensor: (name) => ({ name, dtype: 'int64', shape: [0], data: [] }),
};

/** An observer that remembers what it was told, as sentences. */
export function recordingObserver(): ServingObserver & { readonly told: string[] } {
  const told: string[] = [];
  const recorder: ScoreRecorder = {
    statistics: new ScoreStatistics(),
    cache: { looked() {}, evicted() {} },
    scored: () => told.push('scored'),
    failed: (code) => told.push(`failed ${code}`),
  };
  return {
    told,
    recorder: () => recorder,
    limited: (endpoint, limit) => told.push(`limited ${endpoint} ${limit}`),
    shadowRows: (endpoint, shadow, outcome, rows) =>
      told.push(`${rows} rows of ${endpoint} ${outcome} by ${shadow.id}`),
    refused: (endpoint, code) => told.push(`refused ${endpoint ?? '?'} ${code}`),
    versionLoaded: (version) => told.push(`loaded ${version.id}`),
    versionFailed: (version, _error, attempt) => told.push(`failed to load ${version.id}, attempt ${attempt}`),
    versionCrashed: (version, why) => told.push(`crashed ${version.id}: ${why}`),
    versionUnloaded: (version) => told.push(`unloaded ${version.id}`),
    versionRested: (version) => told.push(`rested ${version.id}`),
    versionWoken: (version) => told.push(`woke ${version.id}`),
    endpointApplied: (endpoint, revision, complete) =>
      told.push(`${endpoint} serves revision ${revision}${complete ? '' : ' in part'}`),
    endpointHeldBack: (endpoint, reason) => told.push(`${endpoint} held back: ${reason ?? 'no more'}`),
    snapshotReceived: (revision) => told.push(`received ${revision}`),
    routingUnreachable: (_error, attempt) => told.push(`unreachable, attempt ${attempt}`),
    routingWentBack: (held, received, accepted) =>
      told.push(`went back from ${held} to ${received}${accepted ? ', believed' : ''}`),
  };
}
