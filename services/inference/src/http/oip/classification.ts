/**
 * The classification extension: the classes of highest value instead of the values, as `VALUE:INDEX`.
 * https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_classification.html
 */
import type { OutputTensor } from '@assay/scoring';

/** Six decimals for floats, as C's `%f`, which Triton writes. */
const DECIMALS = 6;

/** @returns `count` texts for each of the rows, the highest value first; of equal ones the first */
export function classify(
  { data, dtype }: OutputTensor,
  firstRow: number,
  rows: number,
  width: number,
  count: number,
): string[] {
  const texts: string[] = [];
  for (let row = firstRow; row < firstRow + rows; row++) {
    const order = Array.from({ length: width }, (_, i) => i).sort((a, b) => {
      const [left, right] = [data[row * width + a], data[row * width + b]];
      return compare(right, left) || a - b;
    });
    for (const index of order.slice(0, count)) {
      const value = data[row * width + index];
      const text = typeof value === 'number' && dtype !== 'bool' ? value.toFixed(DECIMALS) : String(value);
      texts.push(`${text}:${index}`);
    }
  }
  return texts;
}

/** NaN is lower than every number. */
function compare(a: OutputTensor['data'][number] | undefined, b: OutputTensor['data'][number] | undefined): number {
  if (typeof a === 'bigint' && typeof b === 'bigint') return a < b ? -1 : a > b ? 1 : 0;
  const [left, right] = [Number(a), Number(b)];
  if (Number.isNaN(left) || Number.isNaN(right)) return Number(Number.isNaN(right)) - Number(Number.isNaN(left));
  return left - right;
}
