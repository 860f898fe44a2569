import type { Signature } from '@assay/contracts';
import { expect, test } from 'vitest';
import { recordOfTensors } from './record-of-tensors.ts';

const signature: Signature = {
  features: [
    { name: 'i', dtype: 'int64', shape: [], nullable: false },
    { name: 'f', dtype: 'float32', shape: [2], nullable: true },
    { name: 'ok', dtype: 'bool', shape: [], nullable: false },
    { name: 'at', dtype: 'timestamp', shape: [], nullable: false },
    { name: 'absent', dtype: 'string', shape: [], nullable: true },
  ],
  outputs: [],
};
const inputs = [
  { name: 'at', dtype: 'int64' as const, shape: [2], data: [1_000_001, 9_223_372_036_854_775_807n] },
  { name: 'i', dtype: 'int64' as const, shape: [2, 1], data: new BigInt64Array([-1n, 9_007_199_254_740_993n]) },
  { name: 'f', dtype: 'float32' as const, shape: [2, 2], data: new Float32Array([1, Number.NaN, 2, -0]) },
  { name: 'ok', dtype: 'bool' as const, shape: [2], data: new Uint8Array([1, 0]) },
];

test('a row of tensors is the record that gives the same row', () => {
  expect(recordOfTensors(signature, inputs, 0)).toEqual({
    i: -1n,
    f: [1, null],
    ok: true,
    at: '1970-01-01T00:00:01.000001Z',
  });
});

test('a row with an instant that no record can hold has no record', () => {
  expect(recordOfTensors(signature, inputs, 1)).toBeUndefined();
});
