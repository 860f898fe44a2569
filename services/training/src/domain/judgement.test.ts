import { describe, expect, test } from 'vitest';
import { evaluate, evaluateBaseline } from './evaluation.ts';
import { chooseGoldenRows } from './golden-rows.ts';
import { hintsOf } from './leak-hints.ts';
import { categoryFeature, numberFeature, part, sameParts } from './rows-under-test.ts';
import { signatureOf } from './signature.ts';

const LABELS = [0, 1, 0, 1, 1, 0, 0, 0];

describe('evaluation', () => {
  const rows = part(LABELS, LABELS);
  test('gives the wanted metrics, the interval of the AUC and the calibration', () => {
    const metrics = evaluate(rows.labels, Float64Array.of(0.1, 0.9, 0.3, 0.2, 0.8, 0.4, 0.1, 0.6), ['auc', 'accuracy']);
    expect(Object.keys(metrics).sort()).toEqual([
      'accuracy',
      'auc',
      'auc_ci95_high',
      'auc_ci95_low',
      'expected_calibration_error',
    ]);
    expect(metrics.auc).toBe(12 / 15);
    expect(metrics.accuracy).toBe(6 / 8);
  });
  test('of the baseline is that of always saying the rate of the training rows', () => {
    const baseline = evaluateBaseline(rows, rows, ['auc', 'log_loss', 'accuracy']);
    const entropy = -(3 / 8) * Math.log(3 / 8) - (5 / 8) * Math.log(5 / 8);
    expect(baseline).toMatchObject({ auc: 0.5, accuracy: 5 / 8, log_loss: expect.closeTo(entropy, 12) });
  });
});

describe('hints', () => {
  const codes = Int32Array.from(LABELS, (label, i) => (i === 2 ? -1 : label));
  const features = [
    numberFeature('honest'),
    numberFeature('leak'),
    categoryFeature('place', ['no', 'yes']),
    numberFeature('fixed'),
  ];
  const rows = part(
    LABELS,
    [1, 2, 3, 4, 5, 6, 7, 8],
    LABELS.map((label) => 1 - label),
    codes,
    LABELS.map(() => 3),
  );
  test('name the features that alone predict the outcome, and those that hold one value', () => {
    const hints = hintsOf(features, sameParts(rows));
    expect(hints).toHaveLength(3);
    expect(hints[0]).toContain('feature "leak" alone has an AUC of 1.0000');
    expect(hints[1]).toContain('feature "place" alone');
    expect(hints[2]).toContain('feature "fixed" has one value');
  });
});

describe('the signature', () => {
  test('is nullable where rows hold no value, and lists what an open set has learned and all that a closed one has', () => {
    const rows = part([0, 1], [1, Number.NaN], Int32Array.of(0, 1), Int32Array.of(1, 0));
    const features = [
      numberFeature('height', { unit: 'm' }),
      categoryFeature('city', ['Bern', 'Zug'], 1),
      categoryFeature('kind', ['a', 'b'], 1, { values: 'closed' }),
    ];
    const { signature, problems } = signatureOf(features, sameParts(rows), 'late');
    expect(problems).toEqual([]);
    expect(signature.features).toEqual([
      { name: 'height', dtype: 'float64', shape: [], nullable: true, unit: 'm' },
      { name: 'city', dtype: 'string', shape: [], nullable: false, values: { set: 'open', values: ['Bern'] } },
      { name: 'kind', dtype: 'string', shape: [], nullable: false, values: { set: 'closed', values: ['a', 'b'] } },
    ]);
    expect(signature.outputs.map(({ name, shape }) => [name, shape])).toEqual([
      ['label', []],
      ['probabilities', [2]],
    ]);
  });

  test.each([
    [
      'a missing value that the spec rules out',
      numberFeature('x', { nullable: false }),
      [1, Number.NaN],
      'has no value in 3 rows',
    ],
    ['a missing integer', numberFeature('x', { dtype: 'int64' }), [1, Number.NaN], 'int64 cannot be missing'],
    ['infinity', numberFeature('x'), [1, Number.POSITIVE_INFINITY], 'is infinite in 3 rows'],
    ['a number outside the range', numberFeature('x', { range: { max: 5 } }), [1, 6], 'is outside its range in 3 rows'],
    [
      'a category without a training row',
      categoryFeature('x', ['a'], 0),
      Int32Array.of(0, 0),
      'has no value in any training row',
    ],
    [
      'a value that the closed set lacks',
      categoryFeature('x', ['a', 'b'], 2, { values: { set: 'closed', values: ['a'] } }),
      Int32Array.of(0, 1),
      'holds "b"',
    ],
  ])('is contradicted by %s', (_name, feature, column, message) => {
    const { problems } = signatureOf([feature], sameParts(part([0, 1], column)), 'late');
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toContain(message);
  });
});

test('golden rows come from the test rows, and from the others where those are too few', () => {
  const few = part([0, 1], [1, 2]);
  const many = part(new Array(500).fill(0), new Array(500).fill(9));
  expect(chooseGoldenRows({ train: few, validation: few, test: many }, 1).rows).toBe(128);
  const chosen = chooseGoldenRows({ train: many, validation: few, test: few }, 1);
  expect(chosen.rows).toBe(128);
  expect(chosen.columns[0]).toMatchObject({ kind: 'number' });
  const [column] = chosen.columns;
  expect(column?.kind === 'number' ? [...column.values.subarray(0, 5)] : []).toEqual([1, 2, 1, 2, 9]);
});
