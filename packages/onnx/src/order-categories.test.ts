import { describe, expect, test } from 'vitest';
import { GraphBuilder } from './graph-builder.ts';
import { writeModel } from './model.ts';
import { orderCategories } from './order-categories.ts';
import { readModel } from './read-model.ts';
import type { TabularFeature } from './tabular-features.ts';
import { buildTabularModel } from './tabular-model.ts';
import { bitsOf, type Feed, feed, loadGraph } from './testing/run-graph.ts';
import type { TreeNode } from './trees.ts';

const AIRPORTS = Array.from({ length: 90 }, (_, i) => `A${i}`);
const CODES = Array.from({ length: 30 }, (_, i) => i * 7 - 40);

const FEATURES: readonly TabularFeature[] = [
  { name: 'hour', dtype: 'int64', encoding: { kind: 'number' } },
  { name: 'origin', dtype: 'string', encoding: { kind: 'category', values: AIRPORTS } },
  { name: 'distance', dtype: 'float64', encoding: { kind: 'number' } },
  { name: 'code', dtype: 'int64', encoding: { kind: 'category', values: CODES } },
];

/** https://en.wikipedia.org/wiki/Linear_congruential_generator */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomTree(next: () => number, depth: number): TreeNode {
  if (depth === 0 || next() < 0.1) return { leaf: next() - 0.5 };
  const branches = { left: randomTree(next, depth - 1), right: randomTree(next, depth - 1) };
  const missingGoesLeft = next() < 0.5;
  const feature = Math.floor(next() * FEATURES.length);
  const categories = feature === 1 ? AIRPORTS.length : feature === 3 ? CODES.length : 0;
  if (categories > 0) {
    const members = [...Array(categories).keys()].filter(() => next() < 0.2);
    return { feature, members: members.length > 0 ? members : [0], missingGoesLeft, ...branches };
  }
  const comparison = next() < 0.5 ? ('below' as const) : ('at-most' as const);
  const threshold = feature === 0 ? Math.floor(next() * 24) : Math.floor(next() * 50) / 2;
  return { feature, threshold, comparison, missingGoesLeft, ...branches };
}

function treesModel(seed: number, trees: number, depth: number): Uint8Array {
  const next = random(seed);
  const predictor = { kind: 'trees' as const, trees: Array.from({ length: trees }, () => randomTree(next, depth)) };
  return buildTabularModel({ features: FEATURES, predictor });
}

/** Rows with every category, unknown ones, every form of a missing one, NaN, and numbers at thresholds. */
function feedsOf(rows: number): Record<string, Feed> {
  const next = random(99);
  const texts = [...AIRPORTS, '', 'None', 'nan', '<NA>', 'elsewhere'];
  const codes = [...CODES, 12_345];
  const half = (): number => Math.floor(next() * 50) / 2;
  const each = <T>(value: () => T): T[] => Array.from({ length: rows }, value);
  const int64 = (value: () => number): Feed =>
    feed({ type: 'int64', data: BigInt64Array.from(each(() => BigInt(value()))) });
  return {
    hour: int64(() => Math.floor(next() * 24)),
    origin: feed({ type: 'string', data: each(() => texts[Math.floor(next() * texts.length)] ?? '') }),
    distance: feed({ type: 'float64', data: Float64Array.from(each(() => (next() < 0.1 ? Number.NaN : half()))) }),
    code: int64(() => codes[Math.floor(next() * codes.length)] ?? 0),
  };
}

describe('trees that split by sets of categories', () => {
  test.each([
    [2, 40, 6],
    [3, 5, 10],
    [4, 1, 4],
  ])('give the same bits when they compare positions (seed %i, %i trees of depth %i)', async (seed, trees, depth) => {
    const onnx = treesModel(seed, trees, depth);
    const derived = orderCategories(readModel(onnx));
    if (derived === undefined) throw new Error('it was not derived');
    const ensembles = derived.graph.nodes.filter(({ opType }) => opType === 'TreeEnsemble');
    expect(ensembles).toHaveLength(1);
    expect(ensembles[0]?.attributes.some(({ name }) => name === 'membership_values')).toBe(false);
    const [before, after] = [await loadGraph(onnx), await loadGraph(writeModel(derived))];
    const feeds = feedsOf(3000);
    const [expected, actual] = [await before.run(feeds), await after.run(feeds)];
    expect(Object.keys(expected).length).toBeGreaterThan(0);
    for (const [name, { data }] of Object.entries(expected)) {
      expect(bitsOf(actual[name]?.data ?? [])).toBe(bitsOf(data));
    }
  });
});

describe('a model is left as it is', () => {
  test('when it has no trees, or none that split by sets', () => {
    const numbers = FEATURES.filter(({ encoding }) => encoding.kind === 'number');
    const predictor = {
      kind: 'trees' as const,
      trees: [{ feature: 0, threshold: 3, missingGoesLeft: true, left: { leaf: 1 }, right: { leaf: 2 } }],
    };
    expect(orderCategories(readModel(buildTabularModel({ features: numbers, predictor })))).toBeUndefined();
    const graph = new GraphBuilder();
    graph.input('x', 'float64', ['N', 1]);
    graph.node('Identity', ['x'], { outputs: ['y'] });
    graph.output('y', 'float64', ['N', 1]);
    expect(orderCategories(readModel(graph.build()))).toBeUndefined();
  });
});
