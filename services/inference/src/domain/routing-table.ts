/** What is applied: endpoint name → the variants that answer for it, and the choice among them. */
import { AssayError, nearest, type RoutedEndpoint, type RoutedVersion } from '@assay/contracts';
import type { VersionCache } from '@assay/scoring/response-cache';
import { assignBuckets, BUCKETS, bucketOf, keySeed } from './buckets.ts';
import type { EndpointLimiter } from './endpoint-limits.ts';
import type { LiveVersion } from './live-set.ts';
import type { ScoreRecorder } from './version.ts';

/** One version of an endpoint with its weight; `live` is absent when it could not be loaded. */
export interface ServedVariant {
  readonly version: RoutedVersion;
  readonly weight: number;
  readonly live: LiveVersion | undefined;
  readonly recorder: ScoreRecorder;
  /** Where its answers are used again; absent where they are not. */
  readonly cache?: VersionCache;
}

/** A version that is given the requests of an endpoint too, and answers nobody. */
export interface ServedShadow {
  readonly version: RoutedVersion;
  readonly ratio: number;
  readonly live: LiveVersion | undefined;
}

/** An endpoint as it answers now. Never changed: a new revision is a new one. */
export interface ServedEndpoint {
  readonly endpoint: RoutedEndpoint;
  readonly variants: readonly ServedVariant[];
  /** Whether every variant with a weight is live. */
  readonly complete: boolean;
  readonly shadows: readonly ServedShadow[];
  /** Whether every variant is live, those that only a pin reaches included, and every shadow. */
  readonly whole: boolean;
  /** Of its callers; undefined where nothing is limited. */
  readonly limiter: EndpointLimiter | undefined;
  readonly seed: number;
  /** Bucket → index in `variants`; undefined when one variant has them all. */
  readonly owners: Uint8Array | undefined;
}

export function serveEndpoint(
  endpoint: RoutedEndpoint,
  variants: readonly ServedVariant[],
  shadows: readonly ServedShadow[] = [],
): ServedEndpoint {
  const sharing = variants.filter((variant) => variant.weight > 0);
  const weighted = variants.map(({ version, weight }) => ({ versionId: version.id, weight }));
  return {
    endpoint,
    variants,
    shadows,
    complete: sharing.every((variant) => variant.live !== undefined),
    whole: [...variants, ...shadows].every(({ live }) => live !== undefined),
    limiter: undefined,
    seed: keySeed(endpoint.salt),
    owners: variants.length === 1 || sharing.length === 1 ? undefined : assignBuckets(weighted),
  };
}

/** Endpoint name → what answers for it. */
export type RoutingTable = ReadonlyMap<string, ServedEndpoint>;

/** @throws NOT_FOUND for an endpoint that is not served, with the nearest name */
export function findEndpoint(table: RoutingTable, name: string): ServedEndpoint {
  const served = table.get(name);
  if (served !== undefined) return served;
  const suggestion = nearest(name, table.keys());
  const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
  throw new AssayError('NOT_FOUND', `there is no endpoint "${shorten(name)}"${hint}`);
}

/** The variant that owns the key's bucket; without a key a bucket is drawn by chance. */
export function chooseVariant(served: ServedEndpoint, key: string | undefined): ServedVariant {
  let index = 0;
  if (served.owners !== undefined) {
    const bucket = key === undefined ? Math.floor(Math.random() * BUCKETS) : bucketOf(key, served.seed);
    index = served.owners[bucket] ?? 0;
  } else if (served.variants.length > 1) {
    index = served.variants.findIndex((variant) => variant.weight > 0);
  }
  const variant = served.variants[index];
  if (variant === undefined) throw new AssayError('UNAVAILABLE', `endpoint "${served.endpoint.name}" has no variant`);
  return variant;
}

/**
 * The variant that a caller pinned by version number or version id.
 * @throws NOT_FOUND when the endpoint serves no such version; INVALID_ARGUMENT when two of its models have that number
 */
export function pinnedVariant(served: ServedEndpoint, version: string): ServedVariant {
  const byId = served.variants.find((variant) => variant.version.id === version);
  if (byId !== undefined) return byId;
  const byNumber = served.variants.filter((variant) => String(variant.version.version) === version);
  if (byNumber.length > 1) {
    const ids = byNumber.map((variant) => variant.version.id).join(', ');
    throw new AssayError('INVALID_ARGUMENT', `version ${version} is not unique here; name one of the ids ${ids}`);
  }
  const [found] = byNumber;
  if (found !== undefined) return found;
  const known = served.variants.map((variant) => variant.version.version).join(', ');
  throw new AssayError(
    'NOT_FOUND',
    `endpoint "${served.endpoint.name}" does not serve version "${shorten(version)}"; it serves ${known}`,
  );
}

function shorten(name: string): string {
  return name.length > 100 ? `${name.slice(0, 100)}…` : name;
}
