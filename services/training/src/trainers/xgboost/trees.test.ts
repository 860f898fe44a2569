import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float32Split, treesOf } from './trees.ts';

const LONE_LEAF = {
  left_children: [-1],
  right_children: [-1],
  default_left: [0],
  split_indices: [0],
  split_type: [0],
  split_conditions: [0.25],
  sum_hessian: [8],
  categories: [],
  categories_nodes: [],
  categories_segments: [],
  categories_sizes: [],
};

function model(
  trees: readonly unknown[],
  { base_score = '[5E-1]', objective = 'binary:logistic', name = 'gbtree' } = {},
) {
  return {
    learner: {
      learner_model_param: { base_score, num_class: '0', num_feature: '3' },
      objective: { name: objective },
      gradient_booster: { name, model: { trees } },
    },
  };
}

test('nodes become splits at the middle below their float32 threshold, sets change sides, leaves are float32, covers are Hessians', () => {
  const tree = {
    ...LONE_LEAF,
    left_children: [1, 3, -1, -1, -1],
    right_children: [2, 4, -1, -1, -1],
    default_left: [1, 1, 0, 0, 0],
    split_indices: [2, 1, 0, 0, 0],
    split_type: [0, 1, 0, 0, 0],
    split_conditions: [1, 1e-45, 0.1, -0.2, 0.3],
    sum_hessian: [10, 6, 4, 2.5, 3.5],
    categories: [9, 0, 7],
    categories_nodes: [1],
    categories_segments: [1],
    categories_sizes: [2],
  };
  expect(treesOf(model([tree, LONE_LEAF])).trees).toEqual([
    {
      feature: 2,
      threshold: 1 - 2 ** -25,
      comparison: 'below',
      missingGoesLeft: true,
      left: {
        feature: 1,
        members: [0, 7],
        missingGoesLeft: false,
        left: { leaf: Math.fround(0.3), cover: 3.5 },
        right: { leaf: Math.fround(-0.2), cover: 2.5 },
        cover: 6,
      },
      right: { leaf: Math.fround(0.1), cover: 4 },
      cover: 10,
    },
    { leaf: 0.25, cover: 8 },
  ]);
});

test.each([
  ['[5E-1]', 0],
  ['5E-1', 0],
  ['[2.5E-1]', Math.log(1 / 3)],
])('the base score %s, a probability, becomes the raw score %d', (base_score, score) => {
  expect(treesOf(model([], { base_score })).baseScore).toBeCloseTo(score, 14);
});

test.each([
  [{ base_score: '[5E-1,5E-1]' }, 'base score'],
  [{ base_score: '[1E0]' }, 'base score'],
  [{ objective: 'reg:squarederror' }, 'objective'],
  [{ name: 'dart' }, 'gradient_booster.name'],
])('a model that these trees cannot say is refused: %j', (options, message) => {
  expect(() => treesOf(model([LONE_LEAF], options))).toThrow(message);
});

describe('a split of doubles answers as XGBoost does, which rounds the value to float32 and asks whether it is below', () => {
  const goesLeft = (value: number, { threshold, comparison }: ReturnType<typeof float32Split>) =>
    comparison === 'below' ? value < threshold : value <= threshold;
  const check = (value: number, threshold: number) =>
    expect(goesLeft(value, float32Split(threshold)), `${value} at ${threshold}`).toBe(Math.fround(value) < threshold);

  const LARGEST = 2 ** 128 - 2 ** 104;
  const SMALLEST = 2 ** -149;
  const ENDS = [
    0,
    -0,
    SMALLEST,
    -SMALLEST,
    2 ** -126,
    LARGEST,
    -LARGEST,
    Infinity,
    -Infinity,
    1,
    1 + 2 ** -23,
    1 - 2 ** -24,
  ];
  const bits = new DataView(new ArrayBuffer(8));
  /** The doubles around a value. */
  function around(value: number): number[] {
    bits.setFloat64(0, value);
    const pattern = bits.getBigInt64(0);
    return [-2n, -1n, 0n, 1n, 2n].map((step) => {
      bits.setBigInt64(0, pattern + step);
      return bits.getFloat64(0);
    });
  }

  test('for every pair of ends, the middles between them and the doubles around those', () => {
    for (const threshold of ENDS) {
      const { threshold: middle } = float32Split(threshold);
      for (const end of [...ENDS, middle, 2 ** 128, SMALLEST / 2, -SMALLEST / 2]) {
        for (const value of [...around(end), ...around(-end)]) if (!Number.isNaN(value)) check(value, threshold);
      }
    }
  });

  test('for any float32 and any double, far, near and at the middle', () => {
    const any = fc.float({ noNaN: true });
    fc.assert(
      fc.property(any, fc.double({ noNaN: true }), (threshold, value) => {
        check(value, threshold);
        for (const near of [...around(float32Split(threshold).threshold), ...around(threshold)]) {
          if (!Number.isNaN(near)) check(near, threshold);
        }
      }),
      { seed: 3, numRuns: 5000 },
    );
  });
});
