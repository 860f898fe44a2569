/**
 * Which variant a key gets. The keys of an endpoint fall into 10,000 buckets, one for a hundredth of a percent:
 *
 *     bucket(key) = murmur3(key, seed = murmur3(salt, 0)) mod 10,000
 *
 * The variant with the lowest version id (ids are time-ordered, so the oldest) starts with every bucket. Each other
 * variant, in the order of their ids, then claims as many as its weight says of those that no one claimed before it, along
 * a walk through all buckets that its own id alone determines. So the assignment depends on nothing but the endpoint:
 * every replica comes to the same one, with no memory of what was before. A variant whose weight alone is raised only
 * gains buckets, and the others keep theirs except for those that it gained.
 */
import { murmur3 } from './hash.ts';

export const BUCKETS = 10_000;

export interface WeightedVariant {
  readonly versionId: string;
  /** Hundredths of a percent; those of an endpoint sum to 10,000. */
  readonly weight: number;
}

/** The seed of an endpoint's keys; made once, when the endpoint is applied. */
export function keySeed(salt: string): number {
  return murmur3(salt, 0);
}

/** @returns 0 … 9,999 */
export function bucketOf(key: string, seed: number): number {
  return murmur3(key, seed) % BUCKETS;
}

/**
 * For each bucket the index in `variants` of the one that owns it. Where the weights sum to less than 10,000 the rest stays
 * with the oldest variant; what is over 10,000 finds no bucket left.
 */
export function assignBuckets(variants: readonly WeightedVariant[]): Uint8Array {
  const order = variants
    .map((variant, index) => ({ ...variant, index }))
    .toSorted((a, b) => (a.versionId < b.versionId ? -1 : 1));
  const owners = new Uint8Array(BUCKETS);
  const claimed = new Uint8Array(BUCKETS);
  const [oldest, ...others] = order;
  owners.fill(oldest?.index ?? 0);
  for (const { versionId, weight, index } of others) {
    const step = coprimeStep(versionId);
    let bucket = murmur3(versionId, 1) % BUCKETS;
    let left = weight;
    for (let walked = 0; walked < BUCKETS && left > 0; walked++) {
      if (claimed[bucket] === 0) {
        claimed[bucket] = 1;
        owners[bucket] = index;
        left--;
      }
      bucket = (bucket + step) % BUCKETS;
    }
  }
  return owners;
}

/** A step that visits every bucket once: without a factor in common with 10,000 = 2⁴ · 5⁴. */
function coprimeStep(versionId: string): number {
  let step = murmur3(versionId, 2) % BUCKETS;
  while (step % 2 === 0 || step % 5 === 0) step++;
  return step;
}
