/** Neighbours of floating-point numbers, for thresholds that must not move by a bit. */

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

const bits32 = new DataView(new ArrayBuffer(4));

/** The greatest float32 smaller than the float32 `value`; NaN and -Infinity stay what they are. */
export function nextDownFloat32(value: number): number {
  if (Number.isNaN(value) || value === Number.NEGATIVE_INFINITY) return value;
  bits32.setFloat32(0, value);
  const pattern = bits32.getInt32(0);
  // The smallest below zero is the bit pattern of the smallest above it, with the sign.
  bits32.setInt32(0, value === 0 ? -0x7f_ff_ff_ff : value > 0 ? pattern - 1 : pattern + 1);
  return bits32.getFloat32(0);
}
