import { expect, test } from 'vitest';
import { precisionHints } from './precision-hints.ts';
import { numberFeature, part } from './rows-under-test.ts';

const hintsOf = (trainer: 'xgboost' | 'lightgbm', values: readonly number[]) => [
  ...precisionHints({ name: trainer }, [numberFeature('at')], part(Array(values.length).fill(0), values)),
];
const DAY_US = 86_400e6;
const instants = (rangeUs: number) => Array.from({ length: 100 }, (_, i) => 1.7e15 + (i / 99) * rangeUs);

test('instants of one hour are told for XGBoost, not for LightGBM', () => {
  expect(hintsOf('xgboost', [...instants(DAY_US / 24), Number.NaN])).toEqual([
    expect.stringMatching(/^feature "at" spans 2\d steps of float32, in which XGBoost computes; subtract/),
  ]);
  expect(hintsOf('lightgbm', instants(DAY_US / 24))).toEqual([]);
});

test.each([
  ['instants of a year', instants(365 * DAY_US)],
  ['fractions, which are rounded and told apart', [0.1, 0.2, 0.7]],
  ['small integers, which float32 holds', [1, 2, 3]],
  ['one value', [1e15 + 1, 1e15 + 1]],
  ['no value at all', [Number.NaN]],
])('%s are no matter', (_name, values) => {
  expect(hintsOf('xgboost', values)).toEqual([]);
});
