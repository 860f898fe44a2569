/**
 * Brings what is applied to what is wanted, endpoint by endpoint. An endpoint moves in one step, when every version that
 * its new revision sends traffic to is live and satisfies its contract; until then its applied revision answers. So a
 * version that fails leaves the old one serving, and no request sees a half-made change.
 */
import { incompatibilities, type RoutedEndpoint, type RoutedVersion, type RoutingSnapshot } from '@assay/contracts';
import { EndpointLimiter } from './endpoint-limits.ts';
import type { LiveSet, LiveVersion, VersionState } from './live-set.ts';
import { OnceABurst } from './once-a-burst.ts';
import type { ResponseCaches } from './response-caches.ts';
import {
  type RoutingTable,
  type ServedEndpoint,
  type ServedShadow,
  type ServedVariant,
  serveEndpoint,
} from './routing-table.ts';
import type { ServingObserver } from './version.ts';

export interface ConvergenceOptions {
  readonly live: LiveSet;
  readonly observer: Pick<ServingObserver, 'recorder' | 'endpointApplied' | 'endpointHeldBack'>;
  /** Without it no answer is used again, as in a stream thread. */
  readonly caches?: Pick<ResponseCaches, 'attach' | 'drop'>;
  /**
   * Told what serves now when that changed: what a restart without the registry would need. Once for all changes of a
   * moment, since it is told the whole.
   */
  readonly onApplied: (effective: RoutingSnapshot) => void;
}

/** How one wanted endpoint stands. */
export interface EndpointStatus {
  readonly wanted: RoutedEndpoint;
  readonly applied: ServedEndpoint | undefined;
  /** Why the wanted revision is not applied, or not whole. */
  readonly problem: string | undefined;
}

interface Variants {
  readonly variants: ServedVariant[];
  readonly shadows: ServedShadow[];
  readonly pending: boolean;
  readonly problem: string | undefined;
}

/** Between two looks at everything while one version after the other becomes live. */
const BURST_PAUSE_MS = 100;

export class Convergence {
  readonly #options: ConvergenceOptions;
  readonly #table = new Map<string, ServedEndpoint>();
  readonly #problems = new Map<string, string>();
  /** Endpoint id → what it takes, since it was first limited. */
  readonly #limiters = new Map<string, EndpointLimiter>();
  #wanted: RoutingSnapshot | undefined;
  #versions = new Map<string, RoutedVersion>();
  /** Wanted endpoints, by name. */
  #byName = new Map<string, RoutedEndpoint>();
  /** Version id → the wanted endpoints that name it: a version that becomes live costs what they do, and not what all do. */
  #naming = new Map<string, RoutedEndpoint[]>();
  readonly #tell: OnceABurst;
  #settledWaiters: (() => void)[] = [];

  constructor(options: ConvergenceOptions) {
    this.#options = options;
    this.#tell = new OnceABurst(() => {
      options.live.want(this.inUse()); // what was replaced leaves
      options.onApplied(this.#effective());
    }, BURST_PAUSE_MS);
    options.live.onChange((versionId) => this.#versionChanged(versionId));
  }

  get table(): RoutingTable {
    return this.#table;
  }

  /** The snapshot that is wanted; undefined before the first. */
  get wanted(): RoutingSnapshot | undefined {
    return this.#wanted;
  }

  /** Takes a new snapshot as what is wanted. */
  want(snapshot: RoutingSnapshot): void {
    this.#wanted = snapshot;
    this.#versions = new Map(snapshot.versions.map((version) => [version.id, version]));
    this.#byName = new Map(snapshot.endpoints.map((endpoint) => [endpoint.name, endpoint]));
    this.#naming = namingOf(snapshot.endpoints);
    // First what is missing begins to load, and what is applied stays in memory; only after that may anything leave.
    this.#options.live.want(this.inUse());
    this.#dropUnwanted(snapshot.endpoints);
    for (const endpoint of snapshot.endpoints) this.#apply(endpoint);
    this.#tell.now();
    this.#wakeSettledWaiters();
  }

  /** Tells what was not told yet. */
  close(): void {
    this.#tell.close();
  }

  /** Whether an endpoint of this name is wanted, be it applied or not. */
  isWanted(endpoint: string): boolean {
    return this.#byName.has(endpoint);
  }

  status(): EndpointStatus[] {
    return (this.#wanted?.endpoints ?? []).map((wanted) => {
      const applied = this.#table.get(wanted.name);
      return { wanted, applied, problem: this.problemOf(wanted.name) };
    });
  }

  /** Why the wanted revision of the endpoint is not applied or not whole, or what keeps it from answering. */
  problemOf(endpoint: string): string | undefined {
    const held = this.#problems.get(endpoint);
    if (held !== undefined) return held;
    const failed = this.#table.get(endpoint)?.variants.find(({ live }) => live?.failure !== undefined);
    return failed === undefined ? undefined : wakeProblem(failed);
  }

  /** Whether nothing is being loaded for the first time: each endpoint is applied, or held back by a failure. */
  get settled(): boolean {
    return this.#options.live.firstLoads === 0;
  }

  /** Resolves when `settled`; rejects with the signal's reason. */
  async whenSettled(signal: AbortSignal): Promise<void> {
    while (!this.settled) {
      await new Promise<void>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const onAbort = () => reject(signal.reason);
        signal.addEventListener('abort', onAbort, { once: true });
        this.#settledWaiters.push(() => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        });
      });
    }
  }

  #versionChanged(versionId: string): void {
    let changed = false;
    for (const endpoint of this.#naming.get(versionId) ?? []) changed = this.#apply(endpoint) || changed;
    if (changed) this.#tell.ask();
    this.#wakeSettledWaiters();
  }

  #wakeSettledWaiters(): void {
    if (!this.settled) return;
    const waiters = this.#settledWaiters;
    this.#settledWaiters = [];
    for (const wake of waiters) wake();
  }

  /** An endpoint that is gone, or was made anew under its old name, stops at once. */
  #dropUnwanted(endpoints: readonly RoutedEndpoint[]): void {
    const ids = new Map(endpoints.map((endpoint) => [endpoint.name, endpoint.id]));
    for (const [name, served] of this.#table) {
      if (ids.get(name) !== served.endpoint.id) {
        this.#table.delete(name);
        this.#limiters.delete(served.endpoint.id);
        this.#options.caches?.drop(served.endpoint.id);
      }
    }
    for (const name of this.#problems.keys()) if (!ids.has(name)) this.#setProblem(name, undefined);
  }

  /** @returns whether what serves has changed */
  #apply(endpoint: RoutedEndpoint): boolean {
    const applied = this.#table.get(endpoint.name);
    if (applied?.whole && applied.endpoint.revision === endpoint.revision) {
      this.#setProblem(endpoint.name, undefined);
      return false;
    }
    const { variants, shadows, pending, problem } = this.#collect(endpoint);
    this.#setProblem(endpoint.name, problem);
    // Without all of its variants the others would get the keys of those that are not described.
    if (variants.length < endpoint.variants.length) return false;
    const candidate = serveEndpoint(endpoint, variants, shadows);
    // With nothing to fall back on, the variants that did load are better than none: only the others' keys are refused.
    const isBetterThanNone = applied === undefined && !pending && variants.some(({ live }) => live !== undefined);
    if (!candidate.complete && !isBetterThanNone) return false;
    if (applied !== undefined && sameServing(applied, candidate)) return false;
    const attached = this.#options.caches?.attach(endpoint, variants) ?? variants;
    this.#table.set(endpoint.name, { ...candidate, variants: attached, limiter: this.#limit(endpoint) });
    this.#options.observer.endpointApplied(endpoint.name, endpoint.revision, candidate.complete);
    return true;
  }

  #limit({ id, name, limits }: RoutedEndpoint): EndpointLimiter | undefined {
    if (limits === undefined) return undefined;
    const limiter = this.#limiters.get(id) ?? new EndpointLimiter(name, limits);
    limiter.change(limits);
    this.#limiters.set(id, limiter);
    return limiter;
  }

  /** The variants of a wanted endpoint as they could serve now. */
  #collect(endpoint: RoutedEndpoint): Variants {
    const problems: string[] = [];
    let pending = false;
    const variants: ServedVariant[] = [];
    for (const { versionId, weight } of endpoint.variants) {
      const found = this.#find(endpoint, versionId, problems);
      if (found === undefined) continue;
      const { version, live } = found;
      pending ||= isPending(this.#options.live.state(versionId));
      variants.push({ version, weight, live, recorder: this.#options.observer.recorder(endpoint.name, version) });
    }
    const shadows = (endpoint.shadows ?? []).flatMap(({ versionId, ratio }): ServedShadow[] => {
      const found = this.#find(endpoint, versionId, problems);
      return found === undefined ? [] : [{ ...found, ratio }];
    });
    return { variants, shadows, pending, problem: problems.length === 0 ? undefined : problems.join('; ') };
  }

  /** A version of the endpoint, live if it may answer for it; why not is added to `problems`. */
  #find(
    endpoint: RoutedEndpoint,
    versionId: string,
    problems: string[],
  ): { version: RoutedVersion; live: LiveVersion | undefined } | undefined {
    const version = this.#versions.get(versionId);
    if (version === undefined) {
      problems.push(`version ${versionId} is not described in the routing snapshot`);
      return undefined;
    }
    const state = this.#options.live.state(versionId);
    if (state.is === 'failed') {
      problems.push(`${nameOf(version)} failed to load ${state.attempt} times: ${state.error.message}`);
    }
    if (state.is !== 'live') return { version, live: undefined };
    const unkept = incompatibilities(endpoint.contract, state.live.loaded.signature);
    if (unkept.length === 0) return { version, live: state.live };
    problems.push(`${nameOf(version)} does not keep the endpoint's contract: ${unkept.join('; ')}`);
    return { version, live: undefined };
  }

  #setProblem(endpoint: string, problem: string | undefined): void {
    if (this.#problems.get(endpoint) === problem) return;
    if (problem === undefined) this.#problems.delete(endpoint);
    else this.#problems.set(endpoint, problem);
    this.#options.observer.endpointHeldBack(endpoint, problem);
  }

  /** The versions that must be in memory: those that are wanted, and those that answer now. */
  inUse(): RoutedVersion[] {
    const wanted = (this.#wanted?.endpoints ?? []).flatMap((endpoint) =>
      namedVersions(endpoint).flatMap((id) => this.#versions.get(id) ?? []),
    );
    const applied = [...this.#table.values()].flatMap(({ variants, shadows }) =>
      [...variants, ...shadows].map(({ version }) => version),
    );
    return [...wanted, ...applied];
  }

  /** What serves now as a snapshot: the applied revision of each endpoint, the wanted one where none is applied yet. */
  #effective(): RoutingSnapshot {
    const endpoints = (this.#wanted?.endpoints ?? []).map((wanted) => this.#table.get(wanted.name)?.endpoint ?? wanted);
    const named = new Set(endpoints.flatMap(namedVersions));
    const versions = new Map(this.inUse().map((version) => [version.id, version]));
    return {
      revision: this.#wanted?.revision ?? 0,
      endpoints,
      versions: [...versions.values()].filter((version) => named.has(version.id)),
      ...(this.#wanted?.pipelines === undefined ? {} : { pipelines: this.#wanted.pipelines }),
    };
  }
}

/** Whether both would answer every request alike. */
function sameServing(a: ServedEndpoint, b: ServedEndpoint): boolean {
  return (
    a.endpoint.id === b.endpoint.id &&
    a.endpoint.revision === b.endpoint.revision &&
    sameLive(a.variants, b.variants) &&
    sameLive(a.shadows, b.shadows)
  );
}

type MaybeLive = { readonly live: LiveVersion | undefined };

function sameLive(a: readonly MaybeLive[], b: readonly MaybeLive[]): boolean {
  return a.length === b.length && a.every(({ live }, i) => live === b[i]?.live);
}

function namingOf(endpoints: readonly RoutedEndpoint[]): Map<string, RoutedEndpoint[]> {
  const naming = new Map<string, RoutedEndpoint[]>();
  for (const endpoint of endpoints) {
    for (const id of new Set(namedVersions(endpoint))) {
      const others = naming.get(id);
      if (others === undefined) naming.set(id, [endpoint]);
      else others.push(endpoint);
    }
  }
  return naming;
}

/** What is wrong with a variant whose version rests and could not be woken. */
export function wakeProblem({ version, live }: ServedVariant): string {
  const { attempt = 0, error } = live?.failure ?? {};
  return `${nameOf(version)} was unloaded to save memory, and could not be loaded again (${attempt} times): ${error?.message}`;
}

function namedVersions({ variants, shadows = [] }: RoutedEndpoint): string[] {
  return [...variants, ...shadows].map(({ versionId }) => versionId);
}

function isPending(state: VersionState): boolean {
  return state.is === 'loading' || state.is === 'absent';
}

function nameOf(version: RoutedVersion): string {
  return `${version.modelName} version ${version.version}`;
}
