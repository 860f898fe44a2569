import { describe, expect, test } from 'vitest';
import { type OrderedSplit, orderSplits, type SetTrees } from './category-orderings.ts';

const CATEGORIES = [...Array(10).keys(), Number.NaN];

/** One tree: a split by a number, which says nothing of the category, over one split by a set on each side. */
function twoBesides(a: readonly number[], b: readonly number[]): SetTrees {
  return {
    roots: [0],
    features: [1, 0, 0],
    sets: [undefined, new Set(a), new Set(b)],
    missingIsMember: [false, true, false],
    left: [1, 0, 2],
    right: [2, 1, 3],
    leftIsLeaf: [false, true, true],
    rightIsLeaf: [false, true, true],
  };
}

function isLow(split: OrderedSplit | undefined, category: number): boolean {
  const position = split?.ordering.positions[category] ?? Number.NaN;
  return position <= (split?.atMost ?? Number.NaN) !== split?.isReversed;
}

function order(trees: SetTrees) {
  const ordered = orderSplits(trees, new Map([[0, CATEGORIES]]), 100);
  if (ordered === undefined) throw new Error('it was given up');
  return ordered;
}

describe('splits beside each other', () => {
  test.each([
    ['nested', [1, 2, 3, 4], [2, 3], 1],
    ['the same', [1, 2], [1, 2], 1],
    ['apart', [1, 2], [7, 8, 9], 1],
    ['across each other', [1, 2, 3], [3, 4], 2],
  ])('whose sets are %s give each category the side that its set gives it', (_name, a, b, count) => {
    const { byFeature, splits } = order(twoBesides(a, b));
    for (const category of CATEGORIES.keys()) {
      const isMissing = category === CATEGORIES.length - 1;
      expect(isLow(splits.get(1), category)).toBe(isMissing || a.includes(category));
      expect(isLow(splits.get(2), category)).toBe(!isMissing && b.includes(category));
    }
    // A missing value is a member of the first alone, so that nested sets are nested with it, too.
    expect(byFeature.get(0)?.length).toBe(count);
  });
});

test('no more orderings than allowed are made', () => {
  expect(orderSplits(twoBesides([1, 2, 3], [3, 4]), new Map([[0, CATEGORIES]]), 1)).toBeUndefined();
});
