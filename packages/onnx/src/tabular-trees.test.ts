import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextDown, nextUp } from './floating-point.ts';
import { MISSING_STRINGS, type TabularFeature } from './tabular-features.ts';
import { buildTabularModel } from './tabular-model.ts';
import { bitsOf, type Feed, feed, loadGraph, rowsOf } from './testing/run-graph.ts';
import type { TreeNode, TreePredictor } from './trees.ts';

/** What a row holds of a feature: a number, a category's position, -1 for an unknown one, NaN for a missing one. */
type Row = readonly number[];

/** The meaning of an ensemble, said as plainly as can be. */
function walk(predictor: TreePredictor, row: Row): number {
  let score = 0;
  for (const tree of predictor.trees) score += leafOf(tree, row);
  return score + (predictor.baseScore ?? 0);
}

function leafOf(node: TreeNode, row: Row): number {
  if ('leaf' in node) return node.leaf;
  const value = row[node.feature] ?? Number.NaN;
  return leafOf(goesLeft(node, value) ? node.left : node.right, row);
}

function goesLeft(node: Exclude<TreeNode, { leaf: number }>, value: number): boolean {
  if (Number.isNaN(value)) return node.missingGoesLeft;
  if ('members' in node) return node.members.includes(value);
  return node.comparison === 'below' ? value < node.threshold : value <= node.threshold;
}

const AIRPORTS = Array.from({ length: 254 }, (_, i) => `airport ${i}`);
const CARRIERS = [1n, 20n, 2n ** 53n, 2n ** 53n + 1n, -(2n ** 63n)];
const GATES = [1, 2.5, -3];
const FEATURES: readonly TabularFeature[] = [
  { name: 'distance', dtype: 'float64', encoding: { kind: 'number' } },
  { name: 'origin', dtype: 'string', encoding: { kind: 'category', values: AIRPORTS } },
  { name: 'load', dtype: 'float32', encoding: { kind: 'number' } },
  { name: 'seats', dtype: 'int64', encoding: { kind: 'number' } },
  { name: 'holiday', dtype: 'bool', encoding: { kind: 'number' } },
  { name: 'departure', dtype: 'timestamp', encoding: { kind: 'number' } },
  { name: 'carrier', dtype: 'int64', encoding: { kind: 'category', values: CARRIERS } },
  { name: 'gate', dtype: 'float64', encoding: { kind: 'category', values: GATES } },
  { name: 'belt', dtype: 'float32', encoding: { kind: 'category', values: [0, 7, 9] } },
  { name: 'delay', dtype: 'float64', encoding: { kind: 'number' } },
];

/** A reproducible stream of numbers in [0, 1). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const THRESHOLDS = [0, -0, 0.1, 1 / 3, -1e-35, nextDown(-1e-35), 1e300, 5e-324, 123456.789, -7];

function randomTree(random: () => number, depth: number): TreeNode {
  if (depth === 0 || random() < 0.1) return { leaf: (random() - 0.5) / 3 };
  const feature = Math.floor(random() * FEATURES.length);
  const split = {
    feature,
    missingGoesLeft: random() < 0.5,
    left: randomTree(random, depth - 1),
    right: randomTree(random, depth - 1),
  };
  const encoding = FEATURES[feature]?.encoding;
  if (encoding?.kind === 'category') {
    const some = [...encoding.values.keys()].filter(() => random() < 0.4);
    return { ...split, members: some.length === 0 ? [0] : some };
  }
  const threshold = THRESHOLDS[Math.floor(random() * THRESHOLDS.length)] ?? 0;
  return { ...split, threshold, comparison: random() < 0.5 ? 'below' : 'at-most' };
}

/** Values on thresholds and one double beside, missing and unknown ones. */
function nastyRow(random: () => number): Row {
  const pick = <T>(values: readonly T[], otherwise: T) => values[Math.floor(random() * values.length)] ?? otherwise;
  return FEATURES.map(({ dtype, encoding }) => {
    const mayBeMissing = dtype === 'float64' || dtype === 'float32' || dtype === 'string';
    if (mayBeMissing && random() < 0.15) return Number.NaN;
    if (encoding.kind === 'category') return random() < 0.15 ? -1 : Math.floor(random() * encoding.values.length);
    if (dtype === 'bool') return Math.floor(random() * 2);
    if (dtype === 'int64' || dtype === 'timestamp') return Math.floor((random() - 0.5) * 2 ** 53);
    if (random() < 0.02) return random() < 0.5 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    const value = pick([(v: number) => v, nextUp, nextDown], Math.fround)(pick(THRESHOLDS, 0));
    return dtype === 'float32' ? Math.fround(value) : value;
  });
}

/** The rows as a caller would send them. */
function toFeeds(rows: readonly Row[]): Record<string, Feed> {
  const feeds = FEATURES.map(({ name, dtype, encoding }, i): [string, Feed] => {
    const values = rows.map((row) => row[i] ?? Number.NaN);
    const sent =
      encoding.kind === 'category' ? values.map((v, row) => category(encoding.values, v, row, dtype)) : values;
    switch (dtype) {
      case 'string':
        return [name, feed({ type: 'string', data: sent.map(String) })];
      case 'bool':
        return [name, feed({ type: 'bool', data: Uint8Array.from(sent, Number) })];
      case 'int64':
      case 'timestamp':
        return [name, feed({ type: 'int64', data: BigInt64Array.from(sent, BigInt) })];
      case 'float32':
        return [name, feed({ type: 'float32', data: Float32Array.from(sent, Number) })];
      default:
        return [name, feed({ type: 'float64', data: Float64Array.from(sent, Number) })];
    }
  });
  return Object.fromEntries(feeds);
}

function category(
  values: readonly (string | number | bigint)[],
  position: number,
  row: number,
  dtype: TabularFeature['dtype'],
): string | number | bigint {
  if (Number.isNaN(position))
    return dtype === 'string' ? (MISSING_STRINGS[row % MISSING_STRINGS.length] ?? '') : Number.NaN;
  if (position >= 0) return values[position] ?? '';
  if (dtype === 'string') return row % 2 === 0 ? 'never seen' : 'airport 0 ';
  return dtype === 'int64' ? 2n ** 53n + 2n : nextUp(Number(values[0]) || 1) + 0.125;
}

async function rawScores(predictor: TreePredictor, rows: readonly Row[]): Promise<readonly number[]> {
  const graph = await loadGraph(buildTabularModel({ features: FEATURES, predictor, withRawScore: true }));
  const outputs = await graph.run(toFeeds(rows));
  return [...(outputs.raw_score?.data ?? [])].map(Number);
}

const ensembleOf = (seed: number, trees: number, depth: number): TreePredictor => {
  const random = randomOf(seed);
  return { kind: 'trees', trees: Array.from({ length: trees }, () => randomTree(random, depth)), baseScore: 0.125 };
};
const rowsFrom = (seed: number, count: number): Row[] => {
  const random = randomOf(seed);
  return Array.from({ length: count }, () => nastyRow(random));
};

describe('a tree ensemble in a graph', () => {
  it('gives the very bits of a plain walk on 20,000 nasty rows, for every type of feature', async () => {
    const predictor = ensembleOf(11, 60, 7);
    const rows = rowsFrom(12, 20_000);
    const expected = rows.map((row) => walk(predictor, row));
    expect(new Set(expected).size).toBeGreaterThan(5000);
    expect(await rawScores(predictor, rows)).toEqual(expected);
  });

  it('gives the bits of a plain walk for many small ensembles', async () => {
    const rows = rowsFrom(13, 300);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 0, max: 4 }),
        async (seed, n, depth) => {
          const predictor = ensembleOf(seed, n, depth);
          expect(await rawScores(predictor, rows)).toEqual(rows.map((row) => walk(predictor, row)));
        },
      ),
      { seed: 6, numRuns: 60 },
    );
  });

  it('gives a probability and a label by the raw score, and the same bits at every batch size', async () => {
    const predictor = ensembleOf(14, 100, 6);
    const rows = rowsFrom(15, 128);
    const graph = await loadGraph(buildTabularModel({ features: FEATURES, predictor, withRawScore: true }));
    const feeds = toFeeds(rows);
    const whole = await graph.run(feeds);
    expect(whole.label?.dims).toEqual([128]);
    expect(whole.probabilities?.dims).toEqual([128, 2]);
    rows.forEach((row, i) => {
      const p = 1 / (1 + Math.exp(-walk(predictor, row)));
      expect(Number(whole.probabilities?.data[2 * i + 1])).toBeCloseTo(p, 6);
      expect(Number(whole.probabilities?.data[2 * i])).toBeCloseTo(1 - p, 6);
      expect(whole.label?.data[i]).toBe(p > 0.5 ? 1n : 0n);
    });
    for (const size of [1, 2, 7, 64]) {
      for (let from = 0; from + size <= rows.length; from += size) {
        const part = await graph.run(
          Object.fromEntries(Object.entries(feeds).map(([name, f]) => [name, rowsOf(f, from, from + size)])),
        );
        for (const [name, perRow] of [
          ['label', 1],
          ['probabilities', 2],
          ['raw_score', 1],
        ] as const) {
          const expected = whole[name]?.data.slice(from * perRow, (from + size) * perRow);
          expect(bitsOf(part[name]?.data ?? [])).toEqual(bitsOf(expected ?? []));
        }
      }
    }
  });

  it('takes a lone leaf, no trees at all, and a base score', async () => {
    const rows = rowsFrom(16, 5);
    expect(await rawScores({ kind: 'trees', trees: [] }, rows)).toEqual([0, 0, 0, 0, 0]);
    expect(await rawScores({ kind: 'trees', trees: [{ leaf: 0.1 }] }, rows)).toEqual(rows.map(() => 0.1));
    expect(await rawScores({ kind: 'trees', trees: [{ leaf: 0.1 }, { leaf: 0.2 }], baseScore: -1 }, rows)).toEqual(
      rows.map(() => 0.1 + 0.2 - 1),
    );
  });

  it('takes an unknown category for a missing one where the predictor says so', async () => {
    const rows = FEATURES.map((feature) => (feature.encoding.kind === 'category' ? -1 : 0));
    const trees: TreeNode[] = [...FEATURES.keys()]
      .filter((feature) => FEATURES[feature]?.encoding.kind === 'category')
      .map((feature) => ({ feature, members: [0], missingGoesLeft: true, left: { leaf: 1 }, right: { leaf: 100 } }));
    expect(trees.length).toBe(4);
    expect(await rawScores({ kind: 'trees', trees }, [rows])).toEqual([400]);
    expect(await rawScores({ kind: 'trees', trees, unknownIsMissing: true }, [rows])).toEqual([4]);
  });

  it('takes a set of a hundred thousand categories', async () => {
    const values = Array.from({ length: 150_000 }, (_, i) => `c${i}`);
    const members = [...values.keys()].filter((i) => i % 3 !== 0);
    const bytes = buildTabularModel({
      features: [{ name: 'c', dtype: 'string', encoding: { kind: 'category', values } }],
      predictor: {
        kind: 'trees',
        trees: [{ feature: 0, members, missingGoesLeft: true, left: { leaf: 1 }, right: { leaf: -1 } }],
      },
      withRawScore: true,
    });
    const graph = await loadGraph(bytes);
    const outputs = await graph.run({ c: feed({ type: 'string', data: ['c0', 'c1', 'c149998', 'c149999', '', 'x'] }) });
    expect([...(outputs.raw_score?.data ?? [])]).toEqual([-1, 1, 1, 1, 1, -1]);
  });

  it('takes a tree that is a chain of two thousand splits, and refuses a deeper one', async () => {
    const chain = (splits: number): TreeNode => {
      let node: TreeNode = { leaf: splits };
      for (let i = splits - 1; i >= 0; i--) {
        node = { feature: 0, threshold: i, missingGoesLeft: false, left: { leaf: i }, right: node };
      }
      return node;
    };
    const features: TabularFeature[] = [{ name: 'x', dtype: 'float64', encoding: { kind: 'number' } }];
    const build = (splits: number) =>
      buildTabularModel({ features, predictor: { kind: 'trees', trees: [chain(splits)] }, withRawScore: true });
    const graph = await loadGraph(build(2000));
    const outputs = await graph.run({ x: feed({ type: 'float64', data: Float64Array.of(0, 1234, 1e9, Number.NaN) }) });
    expect([...(outputs.raw_score?.data ?? [])]).toEqual([0, 1234, 2000, 2000]);
    expect(() => build(2001)).toThrow('more than 2000 splits deep');
  });

  it('is written to the same bytes each time', () => {
    const predictor = ensembleOf(17, 10, 5);
    const build = () => buildTabularModel({ features: FEATURES, predictor, metadata: { a: 'b' } });
    expect(build()).toEqual(build());
  });

  const ok = { missingGoesLeft: false, left: { leaf: 0 }, right: { leaf: 1 } };
  it.each<[string, TreeNode, string]>([
    [
      'a feature that is not there',
      { ...ok, feature: 10, threshold: 1 },
      'trees[0] splits by feature 10; there are 10 features',
    ],
    ['a threshold of NaN', { ...ok, feature: 0, threshold: Number.NaN }, 'splits feature "distance" at NaN'],
    ['a set of a number', { ...ok, feature: 0, members: [0] }, 'by category 0; it has 0 categories'],
    ['a category beyond the list', { ...ok, feature: 1, members: [254] }, 'by category 254; it has 254 categories'],
    ['an empty set', { ...ok, feature: 1, members: [] }, 'by an empty set'],
    ['an endless leaf', { leaf: Number.POSITIVE_INFINITY }, 'trees[0] has a leaf of Infinity'],
  ])('refuses %s', (_, tree, message) => {
    const build = () => buildTabularModel({ features: FEATURES, predictor: { kind: 'trees', trees: [tree] } });
    expect(build).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) }),
    );
  });
});
