/**
 * The quantiles of `values` at `levels`, by linear interpolation between the closest ranks: type 7 of Hyndman and Fan,
 * "Sample quantiles in statistical packages" (The American Statistician 50, 1996); numpy's and R's default.
 * @param values in any order, without NaN; not changed
 * @param levels each of [0, 1]
 * @returns one number a level; NaN for each when there are no values
 */
export function quantiles(values: Float64Array, levels: readonly number[]): number[] {
  const sorted = Float64Array.from(values).sort();
  return levels.map((level) => quantileOfSorted(sorted, level));
}

/** One quantile of ascending values; see `quantiles`. */
export function quantileOfSorted(sorted: Float64Array, level: number): number {
  const position = level * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below];
  if (low === undefined) return Number.NaN;
  const high = sorted[below + 1] ?? low;
  const weight = position - below;
  return weight === 0 ? low : low + (high - low) * weight;
}
