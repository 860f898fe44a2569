import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lineDiff } from './line-diff.ts';

const ALL = 1_000_000;
const lines = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 12 });

describe('a difference of lines', () => {
  test('has the text before without its +, and the text after without its -', () => {
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        fc.pre(before.join() !== after.join());
        const diff = lineDiff(before, after, ALL);
        const side = (sign: string) => diff.filter((line) => !line.startsWith(sign)).map((line) => line.slice(1));
        expect(side('+')).toEqual(before);
        expect(side('-')).toEqual(after);
      }),
    );
  });

  test('is as small as it can be', () => {
    expect(lineDiff(['a', 'b', 'c', 'd'], ['a', 'c', 'x', 'd'], ALL)).toEqual([' a', '-b', ' c', '+x', ' d']);
    expect(lineDiff(['a'], ['a'], 3)).toEqual(['…']);
  });

  test('shows some lines around a change, and a sign for those that are left out', () => {
    const before = Array.from({ length: 9 }, (_, i) => String(i));
    const after = before.with(4, 'x');
    expect(lineDiff(before, after, 1)).toEqual(['…', ' 3', '-4', '+x', ' 5', '…']);
  });

  test('of two long texts that have nothing in common is told without comparing each line with each', () => {
    const before = Array.from({ length: 5000 }, (_, i) => `b${i}`);
    const after = Array.from({ length: 5000 }, (_, i) => `a${i}`);
    expect(lineDiff(before, after, 3)).toEqual([
      ...before.map((line) => `-${line}`),
      ...after.map((line) => `+${line}`),
    ]);
  });
});
