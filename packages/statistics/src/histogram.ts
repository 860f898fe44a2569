/** Counts between edges: bin i holds edges[i] ≤ x < edges[i + 1], the last one its upper edge too. */
export interface Histogram {
  /** Ascending; one more than there are bins. */
  readonly edges: readonly number[];
  readonly counts: readonly number[];
}

/**
 * `binCount` bins of equal width from `min` to `max`, as edges. The last edge is exactly `max`.
 * One bin of no width when they are equal.
 */
export function equalWidthEdges(min: number, max: number, binCount: number): number[] {
  if (min === max) return [min, max];
  return Array.from({ length: binCount + 1 }, (_, i) => (i === binCount ? max : min + ((max - min) * i) / binCount));
}

/**
 * How many values lie in each bin. Values outside the edges, and NaN, are in none.
 * @param edges ascending, at least two
 */
export function histogram(values: Float64Array, edges: readonly number[]): Histogram {
  const counts = new Array<number>(edges.length - 1).fill(0);
  const first = edges[0] ?? Number.NaN;
  const last = edges[edges.length - 1] ?? Number.NaN;
  for (const value of values) {
    if (!(value >= first && value <= last)) continue;
    const bin = Math.min(upperBound(edges, value) - 1, counts.length - 1);
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { edges, counts };
}

/** The index of the first edge greater than `value`. */
function upperBound(edges: readonly number[], value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((edges[middle] ?? Number.POSITIVE_INFINITY) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
