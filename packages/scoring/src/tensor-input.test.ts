import { AssayError, type ErrorDetail } from '@assay/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createEncoder } from './encoder.ts';
import { PackedInputBatch } from './input-batch.ts';
import type { InputTensor } from './interfaces.ts';
import { layoutOf } from './layout.ts';
import { feature } from './testing/models.ts';

const features = [
  feature('x', 'float64'),
  feature('v', 'float32', { shape: [2], nullable: true }),
  feature('id', 'int64'),
  feature('at', 'timestamp'),
  feature('flag', 'bool'),
  feature('s', 'string'),
];

function newBatch(): PackedInputBatch {
  const inputs = features.map(({ name, dtype, shape }) => ({
    name,
    type: dtype === 'timestamp' ? ('int64' as const) : dtype,
    dims: ['N', ...(shape.length === 0 ? [1] : shape)],
  }));
  return new PackedInputBatch(createEncoder(layoutOf({ features, outputs: [] }, inputs)), 4);
}

const right: readonly InputTensor[] = [
  { name: 's', dtype: 'string', shape: [2, 1], data: ['a', 'b'] },
  { name: 'x', dtype: 'float64', shape: [2], data: [1.5, 2.5] },
  { name: 'v', dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, Number.NaN) },
  { name: 'id', dtype: 'int64', shape: [2, 1], data: [2n ** 53n + 1n, 7] },
  { name: 'at', dtype: 'int64', shape: [2, 1], data: BigInt64Array.of(5n, -5n) },
  { name: 'flag', dtype: 'bool', shape: [2, 1], data: Uint8Array.of(1, 0) },
];

function details(inputs: readonly unknown[]): readonly ErrorDetail[] {
  const batch = newBatch();
  try {
    batch.appendTensors(inputs as InputTensor[]);
  } catch (error) {
    expect(batch.rows).toBe(0);
    const refused = AssayError.from(error);
    expect(refused.code).toBe('INVALID_ARGUMENT');
    return refused.details;
  }
  return [];
}

/** The right tensors, one of them changed. */
function changed(name: string, change: Record<string, unknown>): unknown[] {
  return right.map((tensor) => (tensor.name === name ? { ...tensor, ...change } : tensor));
}

describe('texts as positions in a list', () => {
  const texts = (codes: readonly number[], dictionary: readonly string[]) => ({
    length: codes.length,
    codes: Int32Array.from(codes),
    dictionary,
  });

  test('are what they are one by one', () => {
    const [batch, plain] = [newBatch(), newBatch()];
    batch.appendTensors(changed('s', { data: texts([2, 0], ['b', 'not used \0', 'a']) }) as InputTensor[]);
    plain.appendTensors(right);
    expect(batch.arrays.map((array) => [...array])).toEqual(plain.arrays.map((array) => [...array]));
  });

  test('are refused where a row has one that is wrong or none, and only there', () => {
    expect(details(changed('s', { data: texts([0, 1], ['a', 'cut\0off']) }))).toMatchObject([
      { place: expect.stringMatching(/^inputs\[\d\]\.data\[1\]$/), message: expect.stringContaining('U+0000') },
    ]);
    expect(details(changed('s', { data: texts([-1, 0], ['a']) }))).toMatchObject([
      { place: expect.stringMatching(/data\[0\]$/), expected: 'a string' },
    ]);
    expect(details(changed('s', { data: texts([0], ['a']) }))).toHaveLength(1);
  });
});

describe('tensors', () => {
  test('are one column a feature, in any order, beside rows that are there already', () => {
    const batch = newBatch();
    batch.appendRecords([{ x: 0, id: 0, at: '1970-01-01T00:00:00Z', flag: false, s: '' }]);
    expect(batch.appendTensors(right)).toBe(2);
    const columns = batch.arrays.map((array) => [...array]);
    expect(columns[0]?.slice(0, 3)).toEqual([0, 1.5, 2.5]);
    expect(columns[1]?.slice(0, 6)).toEqual([Number.NaN, Number.NaN, 1, 2, 3, Number.NaN]);
    expect(columns[2]?.slice(0, 3)).toEqual([0n, 9_007_199_254_740_993n, 7n]);
    expect(columns[3]?.slice(0, 3)).toEqual([0n, 5n, -5n]);
    expect(columns[4]?.slice(0, 3)).toEqual([0, 1, 0]);
    expect(columns[5]?.slice(0, 3)).toEqual(['', 'a', 'b']);
  });

  test('of nullable features may be left out', () => {
    expect(details(right.filter(({ name }) => name !== 'v'))).toEqual([]);
    expect(details(right.filter(({ name }) => name !== 'x'))).toMatchObject([{ message: 'feature "x" is required' }]);
  });

  test.each([
    ['an element of another type', 'x', { data: [1, '2'] }, 'inputs[1].data[1]', '"2" is not a number'],
    ['null where nothing may be missing', 'x', { data: [null, 1] }, 'inputs[1].data[0]', 'null is not a number'],
    [
      'NaN where nothing may be missing',
      'x',
      { data: Float64Array.of(Number.NaN, 1) },
      'inputs[1].data[0]',
      'NaN is not a value here',
    ],
    ['Infinity', 'v', { data: [1, 2, 3, Number.POSITIVE_INFINITY] }, 'inputs[2].data[3]', 'the number is not finite'],
    ['a bool that is 2', 'flag', { data: Uint8Array.of(2, 0) }, 'inputs[5].data[0]', '2 is not a boolean'],
    [
      'an integer that lost its value',
      'id',
      { data: [2 ** 60, 1] },
      'inputs[3].data[0]',
      `${2 ** 60} is beyond 2^53, where a JSON number of this form may have lost its exact value`,
    ],
    ['another dtype', 'x', { dtype: 'float32' }, 'inputs[1].datatype', 'is "float32"'],
    ['other rows', 'x', { shape: [3], data: [1, 2, 3] }, 'inputs[1].shape', 'has 3 rows, the tensors before it 2'],
    ['no rows', 's', { shape: [0, 1], data: [] }, 'inputs[0].shape', 'has 0 rows'],
    ['negative rows', 's', { shape: [-1, 1], data: [] }, 'inputs[0].shape', 'has -1 rows'],
    ['rows that are a bigint', 's', { shape: [2n, 1] }, 'inputs[0].shape', 'has 2 rows'],
    ['more rows than can be multiplied', 's', { shape: [2 ** 62, 1] }, 'inputs[0].data', 'has 2 elements'],
    ['another rank', 'x', { shape: [2, 1, 1] }, 'inputs[1].shape', 'is [2, 1, 1]'],
    ['another width', 'v', { shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }, 'inputs[2].shape', 'is [2, 3]'],
    ['too few elements', 'x', { data: [1] }, 'inputs[1].data', 'has 1 elements'],
    ['typed data of another dtype', 'x', { data: BigInt64Array.of(1n, 2n) }, 'inputs[1].data', 'is a BigInt64Array'],
    ['an unknown name', 'x', { name: 'y' }, 'inputs[1].name', 'unknown feature "y"; did you mean "x"?'],
    ['a name given twice', 'id', { name: 'x', dtype: 'float64' }, 'inputs[3].name', 'feature "x" is given twice'],
  ])('with %s are refused at their place', (_what, name, change, place, message) => {
    expect(details(changed(name, change))).toContainEqual(expect.objectContaining({ place, message }));
  });

  test('that are none at all are refused', () => {
    expect(details([])).not.toEqual([]);
  });

  test('never throw anything but a refusal, whatever they hold', () => {
    const shape = fc.array(fc.oneof(fc.integer(), fc.double(), fc.constant(null)), { maxLength: 4 });
    const data = fc.oneof(
      fc.array(fc.anything(), { maxLength: 6 }),
      fc.float64Array({ maxLength: 6 }),
      fc.constant([1, 2]),
    );
    const name = fc.oneof(fc.constantFrom(...features.map((of) => of.name)), fc.string());
    const dtype = fc.oneof(fc.constantFrom(...features.map((of) => of.dtype)), fc.string());
    const shapes = fc.oneof(shape, fc.constantFrom([2], [2, 1], [1], [3, 2]));
    fc.assert(
      fc.property(fc.array(fc.record({ name, dtype, shape: shapes, data }), { maxLength: 7 }), (inputs) => {
        expect(details(inputs).length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });
});
