/** Records made from a signature, for checks of a version that came with too few of its own. */
import { elementCount, type Feature, type Signature } from '@assay/contracts';
import { integerBounds } from './values.ts';

/** One in so many values of a nullable feature is missing. */
const MISSING_ONE_IN = 8;

/**
 * `count` records that the signature allows, the same ones for the same seed. They know nothing of how real values are
 * spread, so they are good for comparing ways of running a graph, not for judging it.
 * @param integerTypes of int64 features whose graph input holds smaller integers, by name
 */
export function syntheticRecords(
  signature: Signature,
  count: number,
  seed: number,
  integerTypes: Readonly<Record<string, Parameters<typeof integerBounds>[0]>> = {},
): Record<string, unknown>[] {
  const random = mulberry32(seed);
  return Array.from({ length: count }, () => {
    const record: Record<string, unknown> = {};
    for (const feature of signature.features) {
      record[feature.name] = featureValue(feature, random, integerBounds(integerTypes[feature.name] ?? 'int64'));
    }
    return record;
  });
}

function featureValue(feature: Feature, random: () => number, bounds: readonly [bigint, bigint]): unknown {
  if (feature.nullable && random() * MISSING_ONE_IN < 1) return null;
  const flat = Array.from({ length: elementCount(feature.shape) }, () => elementValue(feature, random, bounds));
  let next = 0;
  const nest = (depth: number): unknown => {
    const size = feature.shape[depth];
    return size === undefined ? flat[next++] : Array.from({ length: size }, () => nest(depth + 1));
  };
  return nest(0);
}

function elementValue(feature: Feature, random: () => number, bounds: readonly [bigint, bigint]): unknown {
  const { dtype, values, range } = feature;
  const pick = values?.values[Math.floor(random() * values.values.length)];
  if (pick !== undefined) return pick;
  switch (dtype) {
    case 'float32':
      return Math.fround(between(range, gaussian(random) * 10 ** Math.floor(random() * 3), random));
    case 'float64':
      return between(range, gaussian(random) * 10 ** Math.floor(random() * 3), random);
    case 'int64': {
      const low = Math.ceil(Math.max(range?.min ?? 0, Number(bounds[0])));
      const high = Math.floor(Math.min(range?.max ?? low + 99, Number(bounds[1]), low + 1_000_000));
      return low + Math.floor(random() * (Math.max(high, low) - low + 1));
    }
    case 'string':
      return `s${Math.floor(random() * 100)}`;
    case 'bool':
      return random() < 0.5;
    case 'timestamp': {
      // Between 2000 and 2030, unless the range (in microseconds) says otherwise.
      const from = (range?.min ?? 946_684_800e6) / 1000;
      const to = (range?.max ?? 1_893_456_000e6) / 1000;
      return new Date(Math.ceil(from + random() * (to - from))).toISOString();
    }
  }
}

/** `value` if it is in the range, else one that is. */
function between(range: Feature['range'], value: number, random: () => number): number {
  const min = range?.min ?? Number.NEGATIVE_INFINITY;
  const max = range?.max ?? Number.POSITIVE_INFINITY;
  if (value >= min && value <= max) return value;
  if (Number.isFinite(min) && Number.isFinite(max)) return min + random() * (max - min);
  return Number.isFinite(min) ? min + Math.abs(value) : max - Math.abs(value);
}

function gaussian(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** https://gist.github.com/tommyettinger/46a874533244883189143505d203312c (public domain) */
export function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
