import { expect, test } from 'vitest';
import { treesOf } from './trees.ts';

const LEFT = { leaf_index: 0, leaf_value: -0.5, leaf_count: 30 };
const RIGHT = { leaf_index: 1, leaf_value: 0.25, leaf_count: 70 };
const SPLIT = {
  split_index: 0,
  split_feature: 2,
  decision_type: '<=',
  internal_count: 100,
  left_child: LEFT,
  right_child: RIGHT,
};
const SIDES = { left: { leaf: -0.5, cover: 30 }, right: { leaf: 0.25, cover: 70 }, cover: 100 };

function dump(...trees: unknown[]) {
  return {
    num_class: 1,
    num_tree_per_iteration: 1,
    objective: 'binary sigmoid:1',
    tree_info: trees.map((tree_structure) => ({ tree_structure })),
  };
}
const treeOf = (tree: unknown) => treesOf(dump(tree)).trees[0];

test('a split and a lone leaf keep every bit, and how many rows came to them', () => {
  const threshold = 0.1 + 0.2;
  expect(treesOf(dump({ ...SPLIT, threshold, missing_type: 'NaN', default_left: true }, { leaf_value: 1.5 }))).toEqual({
    kind: 'trees',
    trees: [
      { feature: 2, threshold, missingGoesLeft: true, ...SIDES },
      { leaf: 1.5, cover: 1 },
    ],
  });
});

test.each([
  ['NaN', true, 3, true],
  ['NaN', false, 3, false],
  ['None', false, 3, true], // counts as zero, which is at most 3
  ['None', true, -3, false],
])(
  'a missing value with missing_type %s, default_left %s and threshold %d goes left: %s',
  (missing_type, default_left, threshold, isLeft) => {
    expect(treeOf({ ...SPLIT, missing_type, default_left, threshold })).toMatchObject({ missingGoesLeft: isLeft });
  },
);

test('zero as missing is refused', () => {
  expect(() => treeOf({ ...SPLIT, missing_type: 'Zero', default_left: true, threshold: 1 })).toThrow('zero as missing');
});

test('the threshold below zero is written one double lower', () => {
  const below = -Math.fround(1e-35);
  const tree = treeOf({ ...SPLIT, missing_type: 'None', default_left: false, threshold: below });
  const threshold = tree !== undefined && 'threshold' in tree ? tree.threshold : Number.NaN;
  expect(threshold).toBeLessThan(below);
  expect(threshold).toBeGreaterThan(below * (1 + 1e-15));
});

test('a set of categories goes left, what is missing right', () => {
  expect(
    treeOf({ ...SPLIT, decision_type: '==', threshold: '0||7||31', missing_type: 'NaN', default_left: true }),
  ).toEqual({
    feature: 2,
    members: [0, 7, 31],
    missingGoesLeft: false,
    ...SIDES,
  });
});

test.each([
  { ...dump(LEFT), objective: 'binary sigmoid:2' },
  { ...dump(LEFT), average_output: true },
])('a model that these trees cannot say is refused', (model) => {
  expect(() => treesOf(model)).toThrow('cannot be exported');
});
