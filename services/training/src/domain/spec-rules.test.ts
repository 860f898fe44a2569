import { AssayError, type TrainingSpec } from '@assay/contracts';
import { expect, test } from 'vitest';
import { checkSpec } from './spec-rules.ts';

const SPEC: TrainingSpec = {
  model: 'shop',
  source: { path: 'shop.csv' },
  target: { name: 'bought', expression: 'bought' },
  features: [
    { name: 'age', dtype: 'int64' },
    { name: 'city', dtype: 'string', values: 'closed' },
    { name: 'hour', dtype: 'int64', categorical: true, values: { set: 'open', values: [1, 2] } },
  ],
  split: { by: 'time', column: 'at', validationFrom: '2024-01-01', testFrom: '2024-02-01' },
  trainer: { name: 'lightgbm' },
};

function placesOf(spec: TrainingSpec): string[] {
  try {
    checkSpec(spec);
  } catch (error) {
    return AssayError.from(error).details.map(({ place }) => place);
  }
  return [];
}

test('a good spec passes', () => {
  expect(placesOf(SPEC)).toEqual([]);
});

const withFeature = (feature: TrainingSpec['features'][number]): TrainingSpec => ({ ...SPEC, features: [feature] });

test.each<[string, TrainingSpec, string]>([
  ['the target as a feature', withFeature({ name: 'bought', dtype: 'bool' }), 'features[0].name'],
  ['a feature with the name of an output', withFeature({ name: 'label', dtype: 'int64' }), 'features[0].name'],
  [
    'a category of fractions',
    withFeature({ name: 'a', dtype: 'float64', categorical: true }),
    'features[0].categorical',
  ],
  [
    'a text that is no category',
    withFeature({ name: 'a', dtype: 'string', categorical: false }),
    'features[0].categorical',
  ],
  ['a set of values of a number', withFeature({ name: 'a', dtype: 'int64', values: 'open' }), 'features[0].values'],
  ['a range of a category', withFeature({ name: 'a', dtype: 'string', range: { min: 0 } }), 'features[0].range'],
  [
    'an integer that may be missing',
    withFeature({ name: 'a', dtype: 'int64', nullable: true }),
    'features[0].nullable',
  ],
  [
    'a value of another type',
    withFeature({ name: 'a', dtype: 'string', values: { set: 'closed', values: ['x', 3] } }),
    'features[0].values.values[1]',
  ],
  [
    'the same value twice',
    withFeature({ name: 'a', dtype: 'string', values: { set: 'closed', values: ['x', 'x'] } }),
    'features[0].values.values',
  ],
  [
    'an instant that is none',
    { ...SPEC, split: { ...SPEC.split, by: 'time', column: 'at', validationFrom: 'May', testFrom: '2024-02-01' } },
    'split.validationFrom',
  ],
  [
    'a test that begins before the validation',
    { ...SPEC, split: { by: 'time', column: 'at', validationFrom: '2024-02-01', testFrom: '2024-02-01' } },
    'split.testFrom',
  ],
  ['a GPU for a trainer that would not use it', { ...SPEC, resources: { gpus: 1 } }, 'resources.gpus'],
  ['no rows to train on', { ...SPEC, split: { by: 'random', validation: 0.5, test: 0.5 } }, 'split'],
])('%s is refused at its place', (_name, spec, place) => {
  expect(placesOf(spec)).toEqual([place]);
});
