/** The cache of one endpoint: a part for each version that answers for it, and the bytes that they may hold together. */
import { CacheBudget } from './cache-budget.ts';
import { type CacheRules, type CacheWatcher, VersionCache } from './version-cache.ts';

export interface ResponseCacheOptions extends CacheRules {
  readonly maxBytes: number;
}

export class ResponseCache {
  readonly #memory: CacheBudget;
  readonly #budget: CacheBudget;
  readonly #versions = new Map<object, VersionCache>();
  #rules: CacheRules;

  /** @param memory what all endpoints of the process may hold together */
  constructor(memory: CacheBudget, options: ResponseCacheOptions) {
    this.#memory = memory;
    this.#budget = new CacheBudget(options.maxBytes);
    this.#rules = options;
  }

  /** What is held stays, as far as it still may. */
  change(options: ResponseCacheOptions): void {
    this.#rules = options;
    this.#budget.maxBytes = options.maxBytes;
    this.#budget.makeRoom(0);
  }

  /** The part of a version in memory: another load of it is another version. */
  of(version: object, watcher: CacheWatcher): VersionCache {
    let found = this.#versions.get(version);
    if (found === undefined) {
      found = new VersionCache(() => this.#rules, [this.#budget, this.#memory], watcher);
      this.#versions.set(version, found);
    }
    return found;
  }

  /** Closes the parts of all other versions. */
  retain(versions: ReadonlySet<object>): void {
    for (const [version, cache] of this.#versions) {
      if (versions.has(version)) continue;
      cache.close();
      this.#versions.delete(version);
    }
  }

  close(): void {
    this.retain(new Set());
  }
}
