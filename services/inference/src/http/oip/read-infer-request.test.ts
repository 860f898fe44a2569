import type { Signature } from '@assay/contracts';
import { AssayError } from '@assay/contracts';
import { describe, expect, test } from 'vitest';
import { readInferRequest } from './read-infer-request.ts';

const SIGNATURE: Signature = {
  features: [
    { name: 'f32', dtype: 'float32', shape: [], nullable: true },
    { name: 'f64', dtype: 'float64', shape: [], nullable: false },
    { name: 'i64', dtype: 'int64', shape: [], nullable: false },
    { name: 'text', dtype: 'string', shape: [], nullable: false },
    { name: 'vector', dtype: 'float32', shape: [2, 3], nullable: false },
    { name: 'at', dtype: 'timestamp', shape: [], nullable: false },
  ],
  outputs: [
    { name: 'label', dtype: 'int64', shape: [] },
    { name: 'probabilities', dtype: 'float32', shape: [2] },
  ],
};

function read(input: object, rest: object = {}) {
  return readInferRequest({ inputs: [input], ...rest }, SIGNATURE, 100);
}

function refusal(body: unknown): string {
  try {
    readInferRequest(body, SIGNATURE, 100);
  } catch (error) {
    if (error instanceof AssayError) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'taken';
}

const f64 = { name: 'f64', datatype: 'FP64', shape: [2, 1], data: [1, 2] };

describe('an inference request', () => {
  test('takes flat and nested data, and [rows] for [rows, 1]', () => {
    expect(read(f64).inputs[0]).toMatchObject({ name: 'f64', dtype: 'float64', shape: [2, 1], data: [1, 2] });
    expect(read({ ...f64, data: [[1], [2]] }).inputs[0]?.data).toEqual([1, 2]);
    expect(read({ ...f64, shape: [2] }).inputs[0]?.data).toEqual([1, 2]);
    const flat = Array.from({ length: 12 }, (_, i) => i);
    const nested = [0, 6].map((row) => [0, 3].map((at) => [0, 1, 2].map((i) => row + at + i)));
    const vector = { name: 'vector', datatype: 'FP32', shape: [2, 2, 3] };
    expect(read({ ...vector, data: flat }).inputs[0]?.data).toEqual(flat);
    expect(read({ ...vector, data: nested }).inputs[0]?.data).toEqual(flat);
  });

  test('takes narrower datatypes that the feature holds exactly, each within its own bounds', () => {
    expect(read({ ...f64, datatype: 'INT32', data: [-(2 ** 31), 2 ** 31 - 1] }).inputs[0]?.data).toEqual([
      -(2 ** 31),
      2 ** 31 - 1,
    ]);
    expect(read({ ...f64, datatype: 'FP32', data: [0.1, null] }).inputs[0]?.data).toEqual([Math.fround(0.1), null]);
    expect(refusal({ inputs: [{ ...f64, datatype: 'UINT8', data: [1, 300] }] })).toBe(
      'INVALID_ARGUMENT inputs[0].data[1]: 300 is no UINT8; expected an integer from 0 to 255',
    );
    expect(refusal({ inputs: [{ ...f64, datatype: 'INT64' }] })).toMatch(/inputs\[0\].datatype: "INT64" is not taken/);
    expect(refusal({ inputs: [{ name: 'f32', datatype: 'FP64', shape: [1], data: [1] }] })).toMatch(
      /expected one of FP32/,
    );
  });

  test('keeps integers beyond 2^53', () => {
    const data = [9007199254740993n, -1];
    expect(read({ name: 'i64', datatype: 'INT64', shape: [2], data }).inputs[0]?.data).toEqual(data);
    expect(read({ name: 'at', datatype: 'INT64', shape: [2], data }).inputs[0]).toMatchObject({
      dtype: 'timestamp',
      data,
    });
  });

  test('refuses numbers that are not of their datatype', () => {
    for (const element of ['1', true, {}, [1], 1e39]) {
      expect(refusal({ inputs: [{ name: 'f32', datatype: 'FP32', shape: [1], data: [element] }] })).toMatch(
        /INVALID_ARGUMENT inputs\[0\]\.data/,
      );
    }
  });

  test('bounds shapes before they are multiplied', () => {
    for (const shape of [
      [],
      [0],
      [-1],
      [1.5],
      ['1'],
      [2 ** 63, 30],
      [2 ** 53],
      [1, 1, 1, 1, 1, 1, 1, 1, 1],
      null,
      {},
    ]) {
      expect(refusal({ inputs: [{ ...f64, shape }] })).toMatch(
        /(INVALID_ARGUMENT|PAYLOAD_TOO_LARGE) inputs\[0\]\.shape/,
      );
    }
    expect(refusal({ inputs: [{ ...f64, shape: [101, 1] }] })).toMatch(/PAYLOAD_TOO_LARGE .*101 rows/);
    expect(refusal({ inputs: [{ ...f64, shape: [2, 2] }] })).toMatch(/does not fit input "f64"/);
  });

  test('refuses ragged lists, even those whose total is right', () => {
    const vector = { name: 'vector', datatype: 'FP32', shape: [1, 2, 3] };
    expect(
      refusal({
        inputs: [
          {
            ...vector,
            data: [
              [
                [1, 2, 3, 4],
                [5, 6],
              ],
            ],
          },
        ],
      }),
    ).toMatch(/inputs\[0\]\.data\[0\]\[0\]: has 4 elements/);
    expect(refusal({ inputs: [{ ...vector, data: [[[1, 2, 3], 4]] }] })).toMatch(
      /inputs\[0\]\.data\[0\]\[1\]: must be a list/,
    );
    expect(refusal({ inputs: [{ ...f64, data: [1] }] })).toMatch(/has 1 elements/);
    expect(refusal({ inputs: [{ ...f64, data: [[1], 2] }] })).toMatch(/inputs\[0\]\.data\[1\]: must be a list/);
  });

  test('does not follow nesting deeper than its shape', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(refusal({ inputs: [{ ...f64, data: deep }] })).toMatch(/INVALID_ARGUMENT inputs\[0\]\.data/);
    expect(refusal(deep)).toMatch(/INVALID_ARGUMENT body: must be an object/);
  });

  test('gives the outputs that are asked for, and refuses unknown ones', () => {
    const label = { name: 'label', isBinary: false };
    const all = [label, { name: 'probabilities', isBinary: false }];
    expect(read(f64).outputs).toEqual(all);
    expect(read(f64, { outputs: [] }).outputs).toEqual(all);
    expect(read(f64, { outputs: [{ name: 'label' }] }).outputs).toEqual([label]);
    const asBytes = { outputs: [{ name: 'label', parameters: { binary_data: true } }] };
    expect(read(f64, asBytes).outputs).toEqual([{ ...label, isBinary: true }]);
    const allAsBytes = all.map((output) => ({ ...output, isBinary: true }));
    expect(read(f64, { parameters: { binary_data_output: true } }).outputs).toEqual(allAsBytes);
    expect(refusal({ inputs: [f64], outputs: [{ name: 'labels' }] })).toMatch(
      /no output "labels"; expected one of label/,
    );
    expect(refusal({ inputs: [f64], outputs: [{ name: 'label' }, { name: 'label' }] })).toMatch(/twice/);
  });

  test('names what it does not know', () => {
    expect(refusal({ inputs: [{ ...f64, name: 'f46' }] })).toMatch(/no input "f46"; did you mean "f64"/);
    expect(refusal({ inputs: [f64], output: [] })).toMatch(/unknown key "output"; did you mean "outputs"/);
    expect(refusal({ inputs: [f64, f64] })).toMatch(/inputs\[1\]\.name: "f64" is given twice/);
    expect(refusal({ inputs: [{ ...f64, parameters: { binary_data_size: 8 } }] })).toMatch(
      /inputs\[0\]\.data: is given, and binary_data_size too/,
    );
    for (const body of [
      null,
      [],
      1,
      {},
      { inputs: {} },
      { inputs: [] },
      { inputs: [null] },
      { inputs: [f64], id: 7 },
    ]) {
      expect(refusal(body)).toMatch(/^INVALID_ARGUMENT/);
    }
  });
});
