import { expect, test } from 'vitest';
import { checkParameters, formatParameters } from './parameters.ts';

const KNOWN = new Map([
  ['num_leaves', ['num_leaf', 'max_leaves']],
  ['num_threads', ['n_jobs', 'nthread']],
  ['learning_rate', ['eta']],
]);

test('known parameters pass, by name or alias', () => {
  expect(() => checkParameters({ max_leaves: 31, learning_rate: 0.1 }, KNOWN)).not.toThrow();
});

test.each([
  [{ num_leavs: 31 }, 'trainer.params.num_leavs: LightGBM has no parameter "num_leavs"; did you mean "num_leaves"?'],
  [{ nthread: 4 }, 'trainer.params.nthread: "nthread" cannot be set here: write threads'],
  [{ eta: 0.1, learning_rate: 0.2 }, '"learning_rate" and "eta" are the same parameter'],
  [{ learning_rate: '0.1 objective=regression' }, 'holds a blank, = or #'],
])('%j is refused', (given, message) => {
  expect(() => checkParameters(given, KNOWN)).toThrow(message);
});

test('parameters are written as LightGBM reads them', () => {
  expect(formatParameters({ num_leaves: 31, deterministic: true, metric: 'auc' })).toBe(
    'num_leaves=31 deterministic=true metric=auc',
  );
});
