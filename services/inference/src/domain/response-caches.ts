/**
 * Answers that are used again, of the endpoints that ask for it. Each endpoint has its own, each of its versions in memory a
 * part of it: what one version scored answers for no other, and goes when it no longer answers for the endpoint.
 */
import type { RoutedEndpoint, RoutedVersion } from '@assay/contracts';
import { CacheBudget, ResponseCache, type VersionCache } from '@assay/scoring/response-cache';
import type { ServedVariant } from './routing-table.ts';

export interface HeldResponses {
  readonly endpoint: string;
  readonly version: RoutedVersion;
  readonly bytes: number;
  readonly rows: number;
}

interface EndpointResponses {
  readonly responses: ResponseCache;
  readonly parts: readonly { endpoint: string; version: RoutedVersion; cache: VersionCache }[];
}

export class ResponseCaches {
  readonly #memory: CacheBudget;
  readonly #byEndpointId = new Map<string, EndpointResponses>();

  /** @param maxBytes of all endpoints together, whatever they ask for */
  constructor(maxBytes: number) {
    this.#memory = new CacheBudget(maxBytes);
  }

  /** The variants with their parts of the endpoint's cache, where it has one; what others held is given back. */
  attach({ id, name, cache: options }: RoutedEndpoint, variants: readonly ServedVariant[]): readonly ServedVariant[] {
    if (options === undefined) {
      this.drop(id);
      return variants;
    }
    const rules = { maxBytes: options.maxBytes, maxAgeMs: options.maxAgeMs, coalesce: options.coalesce ?? true };
    const responses = this.#byEndpointId.get(id)?.responses ?? new ResponseCache(this.#memory, rules);
    responses.change(rules);
    responses.retain(new Set(variants.flatMap(({ live }) => live ?? [])));
    const attached = variants.map((variant): ServedVariant => {
      const { live, recorder } = variant;
      if (live === undefined || !live.loaded.repeatable) return variant;
      return { ...variant, cache: responses.of(live, recorder.cache) };
    });
    const parts = attached.flatMap(({ version, cache }) =>
      cache === undefined ? [] : { endpoint: name, version, cache },
    );
    this.#byEndpointId.set(id, { responses, parts });
    return attached;
  }

  drop(endpointId: string): void {
    this.#byEndpointId.get(endpointId)?.responses.close();
    this.#byEndpointId.delete(endpointId);
  }

  held(): HeldResponses[] {
    return Array.from(this.#byEndpointId.values(), ({ parts }) =>
      parts.map(({ cache, ...part }) => ({ ...part, bytes: cache.bytes, rows: cache.size })),
    ).flat();
  }
}
