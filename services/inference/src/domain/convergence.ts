/**
 * Brings what is applied to what is wanted, endpoint by endpoint. An endpoint moves in one step, when every version that
 * its new revision sends traffic to is live and satisfies its contract; until then its applied revision answers. So a
 * version that fails leaves the old one serving, and no request sees a half-made change.
 */
import { incompatibilities, type RoutedEndpoint, type RoutedVersion, type RoutingSnapshot } from '@assay/contracts';
import { EndpointLimiter } from './endpoint-limits.ts';
import type { LiveSet, LiveVersion, VersionState } from './live-set.ts';
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
  /** Told what serves now whenever that changed: what a restart without the registry would need. */
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

export class Convergence {
  readonly #options: ConvergenceOptions;
  readonly #table = new Map<string, ServedEndpoint>();
  readonly #problems = new Map<string, string>();
  /** Endpoint id → what it takes, since it was first limited. */
  readonly #limiters = new Map<string, EndpointLimiter>();
  #wanted: RoutingSnapshot | undefined;
  #versions = new Map<string, RoutedVersion>();
  #settledWaiters: (() => void)[] = [];

  constructor(options: ConvergenceOptions) {
    this.#options = options;
    options.live.onChange(() => this.#step());
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
    if (!this.#step()) this.#options.onApplied(this.#effective());
  }

  /** Whether an endpoint of this name is wanted, be it applied or not. */
  isWanted(endpoint: string): boolean {
    return this.#wanted?.endpoints.some(({ name }) => name === endpoint) === true;
  }

  status(): EndpointStatus[] {
    return (this.#wanted?.endpoints ?? []).map((wanted) => ({
      wanted,
      applied: this.#table.get(wanted.name),
      problem: this.#problems.get(wanted.name),
    }));
  }

  /** Whether nothing is being loaded for the first time: each endpoint is applied, or held back by a failure. */
  get settled(): boolean {
    return this.inUse().every(({ id }) => !isPending(this.#options.live.state(id)));
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

  /** @returns whether anything that serves has changed */
  #step(): boolean {
    const { live } = this.#options;
    const endpoints = this.#wanted?.endpoints ?? [];
    // First what is missing begins to load, and what is applied stays in memory; only after that may anything leave.
    live.want(this.inUse());
    let changed = this.#dropUnwanted(endpoints);
    for (const endpoint of endpoints) changed = this.#apply(endpoint) || changed;
    if (changed) {
      live.want(this.inUse());
      this.#options.onApplied(this.#effective());
    }
    const waiters = this.#settledWaiters;
    this.#settledWaiters = [];
    for (const wake of waiters) wake();
    return changed;
  }

  /** An endpoint that is gone, or was made anew under its old name, stops at once. */
  #dropUnwanted(endpoints: readonly RoutedEndpoint[]): boolean {
    const ids = new Map(endpoints.map((endpoint) => [endpoint.name, endpoint.id]));
    let changed = false;
    for (const [name, served] of this.#table) {
      if (ids.get(name) !== served.endpoint.id) {
        this.#table.delete(name);
        this.#limiters.delete(served.endpoint.id);
        this.#options.caches?.drop(served.endpoint.id);
        changed = true;
      }
    }
    for (const name of this.#problems.keys()) if (!ids.has(name)) this.#setProblem(name, undefined);
    return changed;
  }

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

function namedVersions({ variants, shadows = [] }: RoutedEndpoint): string[] {
  return [...variants, ...shadows].map(({ versionId }) => versionId);
}

function isPending(state: VersionState): boolean {
  return state.is === 'loading' || state.is === 'absent';
}

function nameOf(version: RoutedVersion): string {
  return `${version.modelName} version ${version.version}`;
}
