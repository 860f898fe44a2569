import type { Signature } from '@assay/contracts';
import { parseExactJson } from '@assay/model-package';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { exactJson, exactOutputs } from './exact-outputs.ts';
import type { OutputBatch, OutputTensor } from './interfaces.ts';

const signature: Signature = {
  features: [],
  outputs: [
    { name: 'i', dtype: 'int64', shape: [] },
    { name: 'f', dtype: 'float32', shape: [2] },
    { name: 'd', dtype: 'float64', shape: [] },
    { name: 'at', dtype: 'timestamp', shape: [] },
    { name: 'ok', dtype: 'bool', shape: [] },
    { name: 's', dtype: 'string', shape: [] },
  ],
};
const tensors: OutputTensor[] = [
  { name: 'i', dtype: 'int64', shape: [2, 1], data: new BigInt64Array([1n, -9_223_372_036_854_775_808n]) },
  { name: 'f', dtype: 'float32', shape: [2, 2], data: new Float32Array([0.1, 1, Number.NaN, -0]) },
  { name: 'd', dtype: 'float64', shape: [2], data: new Float64Array([1e300, Number.NEGATIVE_INFINITY]) },
  { name: 'at', dtype: 'timestamp', shape: [2], data: new BigInt64Array([1n, 9_223_372_036_854_775_807n]) },
  { name: 'ok', dtype: 'bool', shape: [2], data: new Uint8Array([1, 0]) },
  { name: 's', dtype: 'string', shape: [2], data: ['é"', ''] },
];
const batch: OutputBatch = {
  rows: 2,
  outputs: tensors,
  record: () => ({}),
  tensor() {
    throw new Error('not asked for');
  },
};

test('outputs as exact text keep every bit that JSON would lose', () => {
  expect(exactOutputs(signature, batch, 0)).toBe(
    '{"i":1,"f":[0.10000000149011612,1],"d":1e+300,"at":"1970-01-01T00:00:00.000001Z","ok":true,"s":"é\\""}',
  );
  expect(exactOutputs(signature, batch, 1)).toBe(
    '{"i":-9223372036854775808,"f":["NaN",-0],"d":"-Infinity","at":9223372036854775807,"ok":false,"s":""}',
  );
});

test('a value as exact text is read back as it was', () => {
  const value = { big: 9_007_199_254_740_993n, zero: -0, list: [null, [0.1]], text: 'a\u2028', absent: undefined };
  const back = parseExactJson(exactJson(value));
  expect(back).toEqual({ big: 9_007_199_254_740_993n, zero: -0, list: [null, [0.1]], text: 'a\u2028' });
});

const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.double({ min: -(2 ** 53), max: 2 ** 53, noNaN: true }),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }),
    fc.string({ unit: 'binary' }),
    fc.constantFrom(null, true, false, -0),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
}));

test('a value of whatever parts is read back as it was', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      expect(parseExactJson(exactJson(value))).toStrictEqual(value);
    }),
    { numRuns: 1000 },
  );
});
