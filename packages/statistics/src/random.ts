/** Seeded randomness: the same seed gives the same numbers on every machine, in every version. */

export interface Random {
  /** A whole number of [0, 2^32). */
  nextUint32(): number;
  /** A number of [0, 1) with 53 random bits. */
  nextFloat(): number;
  /** A whole number of [0, bound), each equally likely. `bound` is a whole number of 1 to 2^32. */
  nextInt(bound: number): number;
}

/**
 * xoshiro128** 1.1 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47, 2021;
 * https://prng.di.unimi.it/xoshiro128starstar.c), its state filled from `seed` by SplitMix32. Not for secrets.
 * @param seed a whole number; its low 32 bits count
 */
export function createRandom(seed: number): Random {
  let filler = seed | 0;
  const fill = (): number => {
    filler = (filler + 0x9e3779b9) | 0;
    let mixed = filler ^ (filler >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return mixed ^ (mixed >>> 15);
  };
  let [a, b, c, d] = [fill(), fill(), fill(), fill()];
  const nextUint32 = (): number => {
    const scrambled = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return scrambled >>> 0;
  };
  return {
    nextUint32,
    nextFloat: () => ((nextUint32() >>> 5) * 0x4000000 + (nextUint32() >>> 6)) / 0x20000000000000,
    nextInt: (bound) => {
      // Numbers past the last whole multiple of `bound` are drawn again, else the small ones would come more often.
      const limit = 0x100000000 - (0x100000000 % bound);
      let drawn = nextUint32();
      while (drawn >= limit) drawn = nextUint32();
      return drawn % bound;
    },
  };
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/**
 * `size` different whole numbers of [0, population), ascending; each set of that size equally likely.
 * Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", CACM 30, 1987). All of them when `size` is not smaller.
 */
export function sampleIndices(random: Random, population: number, size: number): number[] {
  if (size >= population) return Array.from({ length: population }, (_, i) => i);
  const chosen = new Set<number>();
  for (let top = population - size; top < population; top++) {
    const candidate = random.nextInt(top + 1);
    chosen.add(chosen.has(candidate) ? top : candidate);
  }
  return [...chosen].sort((x, y) => x - y);
}
