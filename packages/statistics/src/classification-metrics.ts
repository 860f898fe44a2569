/**
 * Metrics of a binary classifier. `labels` hold 0 or 1, `scores` the probability of 1 for the same rows (for the rank
 * metrics any number that grows with it); equal lengths, no NaN. A metric that is not defined (no rows, or rows of one
 * class where both are needed) is NaN.
 */
export type Labels = Uint8Array;
export type Scores = Float64Array | Float32Array;

/** The scores of each class, ascending. */
export interface ScoresByClass {
  readonly positives: Float64Array;
  readonly negatives: Float64Array;
}

/** Scores parted by label and sorted: all that the rank metrics need. */
export function sortByClass(labels: Labels, scores: Scores): ScoresByClass {
  requireEqualLengths(labels, scores);
  let positiveCount = 0;
  for (const label of labels) positiveCount += label;
  const positives = new Float64Array(positiveCount);
  const negatives = new Float64Array(labels.length - positiveCount);
  let positive = 0;
  let negative = 0;
  for (let row = 0; row < labels.length; row++) {
    const score = scores[row] ?? Number.NaN;
    if (labels[row] === 1) positives[positive++] = score;
    else negatives[negative++] = score;
  }
  return { positives: positives.sort(), negatives: negatives.sort() };
}

/**
 * The area under the ROC curve: the probability that a random 1 scores above a random 0, ties counting half
 * (Hanley and McNeil, Radiology 143, 1982). Exact, O(n log n).
 */
export function rocAuc(labels: Labels, scores: Scores): number {
  const { positives, negatives } = sortByClass(labels, scores);
  return aucOfSorted(positives, negatives);
}

/** See `rocAuc`. Both ascending. */
export function aucOfSorted(positives: Float64Array, negatives: Float64Array): number {
  let below = 0;
  let notAbove = 0;
  let pairs = 0;
  for (const score of positives) {
    while (below < negatives.length && (negatives[below] ?? 0) < score) below++;
    if (notAbove < below) notAbove = below;
    while (notAbove < negatives.length && (negatives[notAbove] ?? 0) <= score) notAbove++;
    pairs += below + notAbove;
  }
  return pairs / 2 / (positives.length * negatives.length);
}

/**
 * Average precision: the mean of precision over the recall gained at each distinct threshold, without interpolation
 * (as scikit-learn's average_precision_score).
 */
export function averagePrecision(labels: Labels, scores: Scores): number {
  const { positives, negatives } = sortByClass(labels, scores);
  let sum = 0;
  let positive = positives.length - 1;
  let negative = negatives.length - 1;
  let found = 0;
  while (positive >= 0) {
    const threshold = positives[positive] ?? 0;
    const before = found;
    while (positive >= 0 && (positives[positive] ?? 0) >= threshold) {
      positive--;
      found++;
    }
    while (negative >= 0 && (negatives[negative] ?? 0) >= threshold) negative--;
    const falseAlarms = negatives.length - 1 - negative;
    sum += (found - before) * (found / (found + falseAlarms));
  }
  return sum / positives.length;
}

/**
 * Mean negative log likelihood in nats. Probabilities are kept off 0 and 1 by 2^-52, so that one certain mistake costs
 * 36 and not infinity (as scikit-learn's log_loss for float64).
 */
export function logLoss(labels: Labels, probabilities: Scores): number {
  return meanOver(labels, probabilities, (label, probability) => {
    const kept = Math.min(Math.max(probability, Number.EPSILON), 1 - Number.EPSILON);
    return label === 1 ? -Math.log(kept) : -Math.log1p(-kept);
  });
}

/** Mean squared difference of probability and label (Brier, Monthly Weather Review 78, 1950). 0 is perfect. */
export function brierScore(labels: Labels, probabilities: Scores): number {
  return meanOver(labels, probabilities, (label, probability) => (probability - label) ** 2);
}

/** The share of rows on the right side: 1 is predicted when the probability is above `threshold`. */
export function accuracy(labels: Labels, probabilities: Scores, threshold = 0.5): number {
  return meanOver(labels, probabilities, (label, probability) => (probability > threshold === (label === 1) ? 1 : 0));
}

/**
 * Expected calibration error: the mean gap between predicted probability and observed rate, over `binCount` bins of
 * equal width, weighted by rows (Naeini, Cooper and Hauskrecht, AAAI 2015). Bin i holds i/n ≤ p < (i+1)/n, the last 1 too.
 */
export function expectedCalibrationError(labels: Labels, probabilities: Scores, binCount = 10): number {
  requireEqualLengths(labels, probabilities);
  const gaps = new Float64Array(binCount); // of each bin: sum of probability minus label
  for (let row = 0; row < labels.length; row++) {
    const probability = probabilities[row] ?? Number.NaN;
    const bin = Math.min(Math.floor(probability * binCount), binCount - 1);
    gaps[bin] = (gaps[bin] ?? 0) + probability - (labels[row] ?? 0);
  }
  let sum = 0;
  for (const gap of gaps) sum += Math.abs(gap);
  return sum / labels.length;
}

function meanOver(labels: Labels, scores: Scores, of: (label: number, score: number) => number): number {
  requireEqualLengths(labels, scores);
  let sum = 0;
  for (let row = 0; row < labels.length; row++) sum += of(labels[row] ?? 0, scores[row] ?? Number.NaN);
  return sum / labels.length;
}

function requireEqualLengths(labels: Labels, scores: Scores): void {
  if (labels.length !== scores.length) {
    throw new RangeError(`${labels.length} labels and ${scores.length} scores: one score a label is needed`);
  }
}
