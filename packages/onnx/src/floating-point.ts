/** Neighbours of doubles, for thresholds that must not move by a bit. */

const bits = new DataView(new ArrayBuffer(8));

/** The smallest double greater than `value`; NaN and +Infinity stay what they are. */
export function nextUp(value: number): number {
  if (Number.isNaN(value) || value === Number.POSITIVE_INFINITY) return value;
  if (value === 0) return Number.MIN_VALUE;
  bits.setFloat64(0, value);
  bits.setBigInt64(0, bits.getBigInt64(0) + (value > 0 ? 1n : -1n));
  return bits.getFloat64(0);
}

/** The greatest double smaller than `value`; NaN and -Infinity stay what they are. */
export function nextDown(value: number): number {
  return -nextUp(-value);
}
