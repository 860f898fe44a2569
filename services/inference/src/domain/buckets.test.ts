import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assignBuckets, BUCKETS, bucketOf, keySeed, type WeightedVariant } from './buckets.ts';
import { murmur3 } from './hash.ts';

describe('the hash', () => {
  test('gives the published values of MurmurHash3 x86 32', () => {
    // https://stackoverflow.com/a/31929528 and Python's mmh3.
    expect(murmur3('', 0)).toBe(0);
    expect(murmur3('', 1)).toBe(0x514e28b7);
    expect(murmur3('', 0xffffffff)).toBe(0x81f16f39);
    expect(murmur3('test', 0)).toBe(0xba6bd213);
    expect(murmur3('test', 0x9747b28c)).toBe(0x704b81dc);
    expect(murmur3('Hello, world!', 0)).toBe(0xc0363e43);
    expect(murmur3('Hello, world!', 0x9747b28c)).toBe(0x24884cba);
    expect(murmur3('The quick brown fox jumps over the lazy dog', 0x9747b28c)).toBe(0x2fa826cd);
    expect(murmur3('aaa', 0x9747b28c)).toBe(0x283e0130);
  });

  test('hashes UTF-8 bytes, short and long alike', () => {
    const long = 'é'.repeat(1000);
    expect(murmur3('é', 0)).not.toBe(murmur3('e', 0));
    expect(murmur3(long, 7)).toBe(murmur3(long, 7));
    expect(murmur3('ππππππππ', 0x9747b28c)).toBe(0xd58063c1);
  });
});

describe('the buckets of an endpoint', () => {
  test('each variant owns exactly as many as its weight', () => {
    fc.assert(
      fc.property(weightings(), (variants) => {
        const counts = countOwners(assignBuckets(variants), variants.length);
        expect(counts).toEqual(variants.map((variant) => variant.weight));
      }),
    );
  });

  test('do not depend on the order in which the variants are listed', () => {
    fc.assert(
      fc.property(weightings(), (variants) => {
        const forward = ownersById(variants);
        expect(ownersById(variants.toReversed())).toEqual(forward);
      }),
    );
  });

  test('a variant whose weight alone is raised only gains buckets', () => {
    fc.assert(
      fc.property(
        weightings(),
        fc.nat(),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 8 }),
        raiseOne,
      ),
    );
  });

  test('keys spread over the variants as the weights say', () => {
    const variants = [
      { versionId: 'ver_a', weight: 7000 },
      { versionId: 'ver_b', weight: 2500 },
      { versionId: 'ver_c', weight: 500 },
    ];
    const owners = assignBuckets(variants);
    const seed = keySeed('salt');
    const counts = [0, 0, 0];
    const keys = 200_000;
    for (let i = 0; i < keys; i++) {
      const owner = owners[bucketOf(`customer-${i}`, seed)] ?? 0;
      counts[owner] = (counts[owner] ?? 0) + 1;
    }
    variants.forEach(({ weight }, i) => {
      const share = weight / BUCKETS;
      // Five standard deviations of the binomial distribution.
      expect(Math.abs((counts[i] ?? 0) - keys * share)).toBeLessThan(5 * Math.sqrt(keys * share * (1 - share)));
    });
  });

  test('another salt sends keys elsewhere', () => {
    const [one, two] = [keySeed('one'), keySeed('two')];
    const keys = Array.from({ length: 10_000 }, (_, i) => `k${i}`);
    const bothLow = keys.filter((key) => bucketOf(key, one) < 5000 && bucketOf(key, two) < 5000).length;
    expect(Math.abs(bothLow - 2500)).toBeLessThan(5 * Math.sqrt(10_000 * 0.25 * 0.75));
  });
});

/** Two to eight variants whose weights sum to 10,000. */
function weightings(): fc.Arbitrary<WeightedVariant[]> {
  return fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 2, maxLength: 8 }).chain((ids) =>
    fc
      .array(fc.integer({ min: 0, max: BUCKETS }), { minLength: ids.length - 1, maxLength: ids.length - 1 })
      .map((cuts) => {
        const edges = [0, ...cuts.toSorted((a, b) => a - b), BUCKETS];
        return ids.map((versionId, i) => ({ versionId, weight: (edges[i + 1] ?? 0) - (edges[i] ?? 0) }));
      }),
  );
}

function raiseOne(variants: WeightedVariant[], pick: number, fractions: number[]): void {
  const raised = pick % variants.length;
  let taken = 0;
  const after = variants.map((variant, i) => {
    const loss = i === raised ? 0 : Math.floor(variant.weight * (fractions[i] ?? 0));
    taken += loss;
    return { ...variant, weight: variant.weight - loss };
  });
  const winner = after[raised];
  if (winner === undefined) throw new Error('the raised variant is one of them');
  after[raised] = { ...winner, weight: winner.weight + taken };
  const [before, now] = [assignBuckets(variants), assignBuckets(after)];
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    if (before[bucket] === raised && now[bucket] !== raised) {
      throw new Error(`bucket ${bucket} was lost by the variant whose weight was raised`);
    }
  }
}

function countOwners(owners: Uint8Array, variants: number): number[] {
  const counts = new Array<number>(variants).fill(0);
  for (const owner of owners) counts[owner] = (counts[owner] ?? 0) + 1;
  return counts;
}

function ownersById(variants: readonly WeightedVariant[]): string[] {
  return Array.from(assignBuckets(variants), (owner) => variants[owner]?.versionId ?? '');
}
