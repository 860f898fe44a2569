/** Buckets in a typed array: an observation is a short search and three additions. */

export interface BoundHistogram {
  observe(value: number): void;
}

interface HistogramSample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface HistogramChild extends BoundHistogram {
  /** As Prometheus wants them: `_bucket` cumulative with `le`, `_sum`, `_count`. */
  samples(name: string, labels: Readonly<Record<string, string>>): HistogramSample[];
  reset(): void;
}

/** @param bounds upper bounds, ascending; an observation equal to a bound falls into its bucket, as `le` says */
export function createHistogramChild(bounds: readonly number[]): HistogramChild {
  for (let i = 1; i < bounds.length; i++) {
    if (!((bounds[i] ?? Number.NaN) > (bounds[i - 1] ?? Number.NaN))) throw new Error('buckets must ascend');
  }
  const upper = Float64Array.from(bounds);
  const counts = new Float64Array(upper.length + 1);
  let sum = 0;
  return {
    observe(value) {
      if (Number.isNaN(value)) return; // it would make the sum NaN for good
      let from = 0;
      let to = upper.length;
      while (from < to) {
        const middle = (from + to) >>> 1;
        // `middle` is below the length, so the element is there
        if (value <= (upper[middle] as number)) to = middle;
        else from = middle + 1;
      }
      counts[from] = (counts[from] as number) + 1; // from ≤ upper.length, the last index of counts
      sum += value;
    },
    samples(name, labels) {
      const samples: HistogramSample[] = [];
      let total = 0;
      counts.forEach((count, i) => {
        total += count;
        const le = i < upper.length ? String(upper[i]) : '+Inf';
        samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: total });
      });
      samples.push({ metricName: `${name}_sum`, labels, value: sum });
      samples.push({ metricName: `${name}_count`, labels, value: total });
      return samples;
    },
    reset() {
      counts.fill(0);
      sum = 0;
    },
  };
}
