import { describe, expect, it } from 'vitest';
import type { TabularFeature } from './tabular-features.ts';
import { buildTabularModel } from './tabular-model.ts';

const number: TabularFeature['encoding'] = { kind: 'number' };

describe('the features of a tabular model', () => {
  const build = (features: TabularFeature[]) => () =>
    buildTabularModel({ features, predictor: { kind: 'trees', trees: [] } });
  const categories = (...list: (string | number | bigint)[]): TabularFeature['encoding'] => ({
    kind: 'category',
    values: list,
  });
  it.each<[string, TabularFeature[], string]>([
    ['no features', [], 'needs a feature'],
    [
      'two of a name',
      [
        { name: 'a', dtype: 'bool', encoding: number },
        { name: 'a', dtype: 'bool', encoding: number },
      ],
      '"a" twice',
    ],
    [
      'the name of an output',
      [{ name: 'label', dtype: 'bool', encoding: number }],
      'feature "label" has the name of an output',
    ],
    ['a string as a number', [{ name: 'a', dtype: 'string', encoding: number }], 'a string cannot be a number'],
    ['a bool as a category', [{ name: 'a', dtype: 'bool', encoding: categories(1) }], 'a bool cannot be a category'],
    ['no categories', [{ name: 'a', dtype: 'string', encoding: categories() }], 'it has no categories'],
    ['a category twice', [{ name: 'a', dtype: 'string', encoding: categories('x', 'x') }], 'category x stands twice'],
    [
      'a missing value as a category',
      [{ name: 'a', dtype: 'string', encoding: categories('x', '<NA>') }],
      '"<NA>" means a missing value',
    ],
    [
      'a number as a category of strings',
      [{ name: 'a', dtype: 'string', encoding: categories(1) }],
      'number 1 is no category of string',
    ],
    [
      'a fraction as a category of integers',
      [{ name: 'a', dtype: 'int64', encoding: categories(1.5) }],
      'number 1.5 is no category of int64',
    ],
    ['an inexact integer', [{ name: 'a', dtype: 'int64', encoding: categories(2 ** 53) }], 'is no category of int64'],
    [
      'a double as a category of float32',
      [{ name: 'a', dtype: 'float32', encoding: categories(0.1) }],
      'is no category of float32',
    ],
    [
      'NaN as a category',
      [{ name: 'a', dtype: 'float64', encoding: categories(Number.NaN) }],
      'is no category of float64',
    ],
  ])('refuses %s', (_, features, message) => {
    expect(build(features)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) }),
    );
  });
});
