import { aucOfSorted, type Labels, type Scores, sortByClass } from './classification-metrics.ts';
import { normalQuantile } from './normal.ts';
import { quantileOfSorted } from './quantiles.ts';
import { createRandom } from './random.ts';

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * A confidence interval of the ROC AUC by DeLong's variance (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988),
 * in O(n log n) as Sun and Xu (IEEE Signal Processing Letters 21, 2014), cut to [0, 1]. Needs two rows of each class,
 * else its ends are NaN. Prefer it to `bootstrapAucInterval`: exact, and without a seed.
 * @param level of (0, 1), 0.95 for 95 %
 */
export function deLongAucInterval(labels: Labels, scores: Scores, level = 0.95): Interval {
  const { positives, negatives } = sortByClass(labels, scores);
  const auc = aucOfSorted(positives, negatives);
  const variance =
    placementVariance(positives, negatives) / positives.length +
    placementVariance(negatives, positives) / negatives.length;
  const halfWidth = normalQuantile(0.5 + level / 2) * Math.sqrt(variance);
  return { low: Math.max(0, auc - halfWidth), high: Math.min(1, auc + halfWidth) };
}

/** The sample variance of each score's placement among the others: the share of them below it, ties counting half. */
function placementVariance(scores: Float64Array, others: Float64Array): number {
  let below = 0;
  let notAbove = 0;
  let count = 0;
  let mean = 0;
  let squares = 0; // Welford's running sum of squared differences
  for (const score of scores) {
    while (below < others.length && (others[below] ?? 0) < score) below++;
    if (notAbove < below) notAbove = below;
    while (notAbove < others.length && (others[notAbove] ?? 0) <= score) notAbove++;
    const placement = (below + notAbove) / 2 / others.length;
    count++;
    const difference = placement - mean;
    mean += difference / count;
    squares += difference * (placement - mean);
  }
  return squares / (count - 1);
}

/**
 * A confidence interval of the ROC AUC by the percentile bootstrap (Efron and Tibshirani, "An introduction to the
 * bootstrap", 1993), resampling within each class.
 * @param level of (0, 1), 0.95 for 95 %
 */
export function bootstrapAucInterval(
  labels: Labels,
  scores: Scores,
  options: { readonly level?: number; readonly resamples?: number; readonly seed: number },
): Interval {
  const { level = 0.95, resamples = 1000, seed } = options;
  const random = createRandom(seed);
  const { positives, negatives } = sortByClass(labels, scores);
  const resample = (values: Float64Array) => values.map(() => values[random.nextInt(values.length)] ?? 0).sort();
  const aucs = new Float64Array(resamples).map(() => aucOfSorted(resample(positives), resample(negatives))).sort();
  return { low: quantileOfSorted(aucs, (1 - level) / 2), high: quantileOfSorted(aucs, (1 + level) / 2) };
}
