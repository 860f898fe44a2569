/**
 * Float tensors that came as bytes, straight into the batch. A value that is missing, infinite or out of its range is left
 * to the careful way, which says what is wrong with it; nothing stays in the batch then.
 */
import type { FloatColumn, InputBatch, InputTensor } from '@assay/scoring';

/** @returns the rows taken; undefined: none, and the tensors are to be appended the careful way */
export function takeFloats(inputs: readonly InputTensor[], batch: InputBatch): number | undefined {
  const rows = inputs[0]?.shape[0] ?? 0;
  for (const { name, shape, data } of inputs) {
    if (!(data instanceof Float32Array || data instanceof Float64Array) || shape[0] !== rows) return undefined;
    const column = batch.floats(name, rows);
    if (column === undefined || !fill(column, data, rows)) return undefined;
  }
  return batch.takeFloats(rows, inputs.length) ? rows : undefined;
}

function fill(
  { array, at, stride, width, min, max }: FloatColumn,
  data: Float32Array | Float64Array,
  rows: number,
): boolean {
  // What lies between them is finite, and no NaN.
  const [least, most] = [Math.max(min, -Number.MAX_VALUE), Math.min(max, Number.MAX_VALUE)];
  for (let row = 0; row < rows; row++) {
    const target = at + row * stride;
    const source = row * width;
    for (let i = 0; i < width; i++) {
      const value = data[source + i] ?? Number.NaN;
      if (!(value >= least && value <= most)) return false;
      array[target + i] = value;
    }
  }
  return true;
}
