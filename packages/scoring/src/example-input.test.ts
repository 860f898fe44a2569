import type { Signature } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { recordsOfExample } from './example-input.ts';

const scalars: Signature = {
  features: [
    { name: 'hour', dtype: 'int64', shape: [], nullable: false },
    { name: 'origin', dtype: 'string', shape: [], nullable: false },
  ],
  outputs: [{ name: 'y', dtype: 'float32', shape: [] }],
};
const vector: Signature = {
  features: [{ name: 'x', dtype: 'float32', shape: [2], nullable: false }],
  outputs: scalars.outputs,
};

describe("MLflow's input example", () => {
  it('gives records, whether it was a DataFrame, arrays by name, or one array', () => {
    const expected = [
      { hour: 7, origin: 'ATL' },
      { hour: 8, origin: 'BOS' },
    ];
    const split = {
      columns: ['origin', 'hour', 'unused'],
      data: [
        ['ATL', 7, 1],
        ['BOS', 8, 2],
      ],
    };
    expect(recordsOfExample(split, scalars)).toEqual(expected);
    const byName = { hour: [[7], [8]], origin: ['ATL', 'BOS'] };
    expect(recordsOfExample(byName, scalars)).toEqual(expected);
    expect(recordsOfExample({ inputs: byName }, scalars)).toEqual(expected);
    expect(
      recordsOfExample(
        [
          [1, 2],
          [3, 4],
        ],
        vector,
      ),
    ).toEqual([{ x: [1, 2] }, { x: [3, 4] }]);
    expect(recordsOfExample({ inputs: [[1, 2]] }, vector)).toEqual([{ x: [1, 2] }]);
  });

  it('gives none where it is of another form', () => {
    for (const other of [undefined, null, 7, 'text', {}, [1], { columns: ['hour'], data: [[1]] }, { inputs: {} }]) {
      expect(recordsOfExample(other, scalars)).toEqual([]);
    }
  });
});
