import { addShadowCounts } from '@assay/contracts';
import type { OutputBatch, ScoredRows } from '@assay/scoring';
import { describe, expect, test } from 'vitest';
import { ShadowCounter } from './shadow-counts.ts';

type Tensor = OutputBatch['outputs'][number];

/** Rows of a run, as a scorer gives them. */
function scored(
  outputs: readonly Tensor[],
  of: { firstRow?: number; rows?: number; inferenceMs?: number } = {},
): ScoredRows {
  const all = outputs[0]?.shape[0] ?? 0;
  const { firstRow = 0, rows = all, inferenceMs = 1 } = of;
  const batch: OutputBatch = {
    rows: all,
    outputs,
    record: () => ({}),
    tensor: (name) => outputs.find((output) => output.name === name) ?? unknown(name),
  };
  return { outputs: batch, firstRow, rows, queueMs: 0, inferenceMs, batchRows: all };
}
const unknown = (name: string): never => {
  throw new Error(`no output ${name}`);
};
const floats = (name: string, rows: number, values: number[]): Tensor => ({
  name,
  dtype: 'float32',
  shape: [rows, values.length / rows],
  data: new Float32Array(values),
});

describe('a shadow beside the version that answered', () => {
  test('differs in numbers by their sum and their most, and one number with a fraction is no decision', () => {
    const counter = new ShadowCounter();
    counter.compared(scored([floats('p', 3, [0.25, 0.5, 1])]), scored([floats('p', 3, [0.25, 0.75, 0])]));
    expect(counter.counts()).toMatchObject({
      rows: 3,
      outputs: [
        { name: 'p', values: 3, differingRows: 2, disagreeingRows: 0, sumAbsDifference: 1.25, maxAbsDifference: 1 },
      ],
    });
  });

  test('disagrees where another of several numbers is largest, and where a label, flag or whole number is another', () => {
    const counter = new ShadowCounter();
    const label = (values: string[]): Tensor => ({ name: 'label', dtype: 'string', shape: [2], data: values });
    const flag = (values: number[]): Tensor => ({
      name: 'flag',
      dtype: 'bool',
      shape: [2],
      data: new Uint8Array(values),
    });
    const whole = (values: bigint[]): Tensor => ({
      name: 'whole',
      dtype: 'int64',
      shape: [2],
      data: new BigInt64Array(values),
    });
    counter.compared(
      scored([floats('p', 2, [0.9, 0.1, 0.6, 0.4]), label(['a', 'b']), flag([0, 1]), whole([1n, 5n])]),
      scored([floats('p', 2, [0.8, 0.2, 0.4, 0.6]), label(['a', 'c']), flag([1, 1]), whole([1n, 7n])]),
    );
    const found = counter
      .counts()
      .outputs.map(({ name, differingRows, disagreeingRows, maxAbsDifference }) => [
        name,
        differingRows,
        disagreeingRows,
        Math.round(maxAbsDifference * 10) / 10,
      ]);
    expect(found).toEqual([
      ['p', 2, 1, 0.2],
      ['label', 1, 1, 0],
      ['flag', 1, 1, 1],
      ['whole', 1, 1, 2],
    ]);
  });

  test('of rows within runs of others takes those rows, and their share of the time', () => {
    const counter = new ShadowCounter();
    counter.compared(
      scored([floats('p', 4, [9, 1, 2, 9])], { firstRow: 1, rows: 2, inferenceMs: 8 }),
      scored([floats('p', 2, [1, 2])], { inferenceMs: 3 }),
    );
    expect(counter.counts()).toMatchObject({
      rows: 2,
      primaryRunMs: 4,
      shadowRunMs: 3,
      outputs: [{ differingRows: 0 }],
    });
  });

  test('is compared where both have the output, and NaN and infinity differ without a distance', () => {
    const counter = new ShadowCounter();
    counter.compared(
      scored([floats('p', 2, [Number.NaN, 1]), floats('only ours', 2, [1, 2])]),
      scored([floats('p', 2, [Number.NaN, Number.POSITIVE_INFINITY])]),
    );
    expect(counter.counts().outputs).toEqual([
      { name: 'p', values: 2, differingRows: 1, disagreeingRows: 0, sumAbsDifference: 0, maxAbsDifference: 0 },
    ]);
  });

  test('adds up over replicas', () => {
    const [one, two, both] = [new ShadowCounter(), new ShadowCounter(), new ShadowCounter()];
    const ours = scored([floats('p', 2, [1, 2])]);
    const [near, far] = [scored([floats('p', 2, [1, 2.5])]), scored([floats('p', 2, [0, 2])])];
    for (const counter of [one, both]) counter.compared(ours, near);
    for (const counter of [two, both]) counter.compared(ours, far);
    two.dropped(3);
    both.dropped(3);
    one.failed(1);
    both.failed(1);
    expect(addShadowCounts(one.counts(), two.counts())).toEqual(both.counts());
    const empty = new ShadowCounter().counts();
    expect(addShadowCounts(empty, both.counts())).toEqual(both.counts());
  });
});
