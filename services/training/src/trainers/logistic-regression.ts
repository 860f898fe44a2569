/**
 * Logistic regression with an L2 penalty by Newton's method (iteratively reweighted least squares; Hastie, Tibshirani and
 * Friedman, "The elements of statistical learning", 2009, 4.4.1). Missing numbers become the mean, numbers are
 * standardised, categories one-hot; a missing or unknown category has no bit set. The intercept is not penalised:
 * minimises Σ log(1 + exp(−y·score)) + l2/2 · Σ weight², as scikit-learn with C = 1/l2.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import type { LinearTerm } from '@assay/onnx';
import { logLoss } from '@assay/statistics';
import type { Part, PreparedFeature } from '../domain/prepared-rows.ts';
import type { TrainedModel, TrainerSpec, TrainingRequest } from './trainer.ts';

const DEFAULT_L2 = 1;
const DEFAULT_MAX_ITERATIONS = 100;
/** The Hessian is dense: at 4,000 weights it is 128 MB. */
const MAX_WEIGHTS = 4000;
/** Stops when no component of the gradient is larger than this a row. */
const GRADIENT_TOLERANCE = 1e-9;
const MAX_HALVINGS = 30;

/** @throws AssayError INVALID_ARGUMENT when the features make more weights than the method can hold */
export async function trainLogisticRegression(
  spec: Extract<TrainerSpec, { name: 'logistic-regression' }>,
  request: TrainingRequest,
): Promise<TrainedModel> {
  const { features, train, validation, signal, onStep } = request;
  const layout = layOut(features, train);
  const design = toDesign(layout, train);
  const l2 = spec.l2 ?? DEFAULT_L2;
  const maxIterations = spec.maxIterations ?? DEFAULT_MAX_ITERATIONS;

  let weights: Float64Array = new Float64Array(layout.size);
  weights[0] = logit(Math.min(Math.max(meanOf(train.labels), 1e-9), 1 - 1e-9));
  let loss = penalisedLoss(design, train.labels, weights, l2);
  let iteration = 0;
  let converged = false;
  while (iteration < maxIterations && !converged) {
    await nextTurn();
    signal.throwIfAborted();
    const { gradient, hessian } = derivatives(design, train.labels, weights, l2);
    converged = gradient.every((component) => Math.abs(component) <= GRADIENT_TOLERANCE * train.rows);
    if (converged) break;
    const step = solve(hessian, gradient);
    const next = descend(weights, step, loss, (candidate) => penalisedLoss(design, train.labels, candidate, l2));
    if (next === undefined) break; // no step makes it smaller: as good as doubles get
    weights = next.weights;
    loss = next.loss;
    iteration++;
    onStep({ done: iteration, of: maxIterations, metric: 'training_loss', value: loss / train.rows });
  }
  const predict = (part: Part) => scores(toDesign(layout, part), weights).map(sigmoid);
  const validationLoss = logLoss(validation.labels, predict(validation));
  return {
    predictor: { kind: 'linear', intercept: weights[0] ?? 0, terms: termsOf(layout, weights) },
    predict,
    libraries: {},
    summary: `${layout.size} weights, ${iteration} iterations${iteration === maxIterations && !converged ? ' (not converged)' : ''}, validation log_loss ${validationLoss.toFixed(4)}`,
    close() {},
  };
}

/** Where each feature's weights are; 0 is the intercept. */
interface Layout {
  readonly size: number;
  readonly features: readonly FeatureLayout[];
}
type FeatureLayout =
  | { readonly kind: 'number'; readonly at: number; readonly mean: number; readonly scale: number }
  | { readonly kind: 'category'; readonly at: number; readonly count: number };

function layOut(features: readonly PreparedFeature[], train: Part): Layout {
  // Numbers first, so that the positions of a row's entries ascend; the Hessian's lower half relies on it.
  const numbers = features.filter((feature) => feature.kind === 'number').length;
  let number = 1;
  let size = 1 + numbers;
  const layouts = features.map((feature, i): FeatureLayout => {
    if (feature.kind === 'category') {
      const at = size;
      size += feature.knownCount;
      return { kind: 'category', at, count: feature.knownCount };
    }
    const column = train.columns[i];
    const values = column?.kind === 'number' ? column.values : new Float64Array();
    return { kind: 'number', at: number++, ...momentsOf(values) };
  });
  if (size > MAX_WEIGHTS) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `trainer: logistic-regression would have ${size} weights, one a number and one a category; at most ${MAX_WEIGHTS} fit. Use fewer categories, or lightgbm`,
    );
  }
  return { size, features: layouts };
}

/** Mean and population standard deviation of what is not missing; a scale of 1 where nothing varies. */
function momentsOf(values: Float64Array): { mean: number; scale: number } {
  let count = 0;
  let mean = 0;
  let squares = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    count++;
    const difference = value - mean;
    mean += difference / count;
    squares += difference * (value - mean);
  }
  const scale = Math.sqrt(squares / count);
  return { mean, scale: scale > 0 ? scale : 1 };
}

/** Rows as the method sees them: a dense block of standardised numbers, and one position a category. */
interface Design {
  readonly rows: number;
  readonly size: number;
  /** Row after row. */
  readonly numbers: Float64Array;
  readonly numberPositions: readonly number[];
  /** Row after row: the weight of the row's category, -1 for none. */
  readonly categories: Int32Array;
  readonly categoryCount: number;
}

function toDesign(layout: Layout, part: Part): Design {
  const numberLayouts = layout.features.flatMap((feature, i) => (feature.kind === 'number' ? [{ feature, i }] : []));
  const categoryLayouts = layout.features.flatMap((feature, i) =>
    feature.kind === 'category' ? [{ feature, i }] : [],
  );
  const numbers = new Float64Array(part.rows * numberLayouts.length);
  for (const [position, { feature, i }] of numberLayouts.entries()) {
    const column = part.columns[i];
    if (column?.kind !== 'number') continue;
    for (let row = 0; row < part.rows; row++) {
      const value = column.values[row] ?? Number.NaN;
      const standardised = Number.isNaN(value) ? 0 : (value - feature.mean) / feature.scale;
      numbers[row * numberLayouts.length + position] = standardised;
    }
  }
  const categories = new Int32Array(part.rows * categoryLayouts.length);
  for (const [position, { feature, i }] of categoryLayouts.entries()) {
    const column = part.columns[i];
    if (column?.kind !== 'category') continue;
    for (let row = 0; row < part.rows; row++) {
      const code = column.codes[row] ?? -1;
      const isKnown = code >= 0 && code < feature.count;
      categories[row * categoryLayouts.length + position] = isKnown ? feature.at + code : -1;
    }
  }
  return {
    rows: part.rows,
    size: layout.size,
    numbers,
    numberPositions: numberLayouts.map(({ feature }) => feature.at),
    categories,
    categoryCount: categoryLayouts.length,
  };
}

/** Calls `visit` with the non-zero entries of each row: `count` positions and values, the intercept first. */
function forEachRow(
  design: Design,
  visit: (row: number, positions: Int32Array, values: Float64Array, count: number) => void,
): void {
  const { rows, numbers, numberPositions, categories, categoryCount } = design;
  const numberCount = numberPositions.length;
  const positions = new Int32Array(1 + numberCount + categoryCount);
  const values = new Float64Array(positions.length).fill(1);
  positions.set(numberPositions, 1);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < numberCount; i++) values[1 + i] = numbers[row * numberCount + i] ?? 0;
    let count = 1 + numberCount;
    for (let i = 0; i < categoryCount; i++) {
      const position = categories[row * categoryCount + i] ?? -1;
      if (position >= 0) positions[count++] = position;
    }
    visit(row, positions, values, count);
  }
}

function scores(design: Design, weights: Float64Array): Float64Array {
  const result = new Float64Array(design.rows);
  forEachRow(design, (row, positions, values, count) => {
    let score = 0;
    for (let i = 0; i < count; i++) score += (weights[positions[i] ?? 0] ?? 0) * (values[i] ?? 0);
    result[row] = score;
  });
  return result;
}

function penalisedLoss(design: Design, labels: Uint8Array, weights: Float64Array, l2: number): number {
  const found = scores(design, weights);
  let loss = 0;
  for (let row = 0; row < found.length; row++) {
    const margin = labels[row] === 1 ? (found[row] ?? 0) : -(found[row] ?? 0);
    loss += margin > 0 ? Math.log1p(Math.exp(-margin)) : Math.log1p(Math.exp(margin)) - margin;
  }
  let squares = 0;
  for (let i = 1; i < weights.length; i++) squares += (weights[i] ?? 0) ** 2;
  return loss + (l2 / 2) * squares;
}

/** The gradient, and the lower half of the Hessian, row after row. */
function derivatives(
  design: Design,
  labels: Uint8Array,
  weights: Float64Array,
  l2: number,
): { gradient: Float64Array; hessian: Float64Array } {
  const { size } = design;
  const gradient = new Float64Array(size);
  const hessian = new Float64Array(size * size);
  const found = scores(design, weights);
  forEachRow(design, (row, positions, values, count) => {
    const probability = sigmoid(found[row] ?? 0);
    const residual = probability - (labels[row] ?? 0);
    const curvature = probability * (1 - probability);
    for (let i = 0; i < count; i++) {
      const at = positions[i] ?? 0;
      const value = values[i] ?? 0;
      gradient[at] = (gradient[at] ?? 0) + residual * value;
      const weighted = curvature * value;
      for (let j = 0; j <= i; j++) {
        const entry = at * size + (positions[j] ?? 0);
        hessian[entry] = (hessian[entry] ?? 0) + weighted * (values[j] ?? 0);
      }
    }
  });
  for (let i = 1; i < size; i++) {
    gradient[i] = (gradient[i] ?? 0) + l2 * (weights[i] ?? 0);
    hessian[i * size + i] = (hessian[i * size + i] ?? 0) + l2;
  }
  return { gradient, hessian };
}

/** Half the step until the loss is smaller; undefined when no step makes it so. */
function descend(
  weights: Float64Array,
  step: Float64Array,
  loss: number,
  lossOf: (candidate: Float64Array) => number,
): { weights: Float64Array; loss: number } | undefined {
  for (let halving = 0, length = 1; halving < MAX_HALVINGS; halving++, length /= 2) {
    const candidate = weights.map((weight, i) => weight - length * (step[i] ?? 0));
    const candidateLoss = lossOf(candidate);
    if (candidateLoss < loss) return { weights: candidate, loss: candidateLoss };
  }
  return undefined;
}

/** Solves H·x = g by Cholesky, in place; without an L2 penalty H may be singular, so its diagonal is kept off zero. */
function solve(hessian: Float64Array, gradient: Float64Array): Float64Array {
  const size = gradient.length;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = hessian[i * size + j] ?? 0;
      for (let k = 0; k < j; k++) sum -= (hessian[i * size + k] ?? 0) * (hessian[j * size + k] ?? 0);
      hessian[i * size + j] = i === j ? Math.sqrt(Math.max(sum, 1e-10)) : sum / (hessian[j * size + j] ?? 1);
    }
  }
  const x = Float64Array.from(gradient);
  for (let i = 0; i < size; i++) {
    let sum = x[i] ?? 0;
    for (let k = 0; k < i; k++) sum -= (hessian[i * size + k] ?? 0) * (x[k] ?? 0);
    x[i] = sum / (hessian[i * size + i] ?? 1);
  }
  for (let i = size - 1; i >= 0; i--) {
    let sum = x[i] ?? 0;
    for (let k = i + 1; k < size; k++) sum -= (hessian[k * size + i] ?? 0) * (x[k] ?? 0);
    x[i] = sum / (hessian[i * size + i] ?? 1);
  }
  return x;
}

function termsOf(layout: Layout, weights: Float64Array): LinearTerm[] {
  return layout.features.map((feature) =>
    feature.kind === 'number'
      ? { kind: 'number', mean: feature.mean, scale: feature.scale, weight: weights[feature.at] ?? 0 }
      : { kind: 'category', weights: [...weights.subarray(feature.at, feature.at + feature.count)] },
  );
}

function sigmoid(score: number): number {
  return score >= 0 ? 1 / (1 + Math.exp(-score)) : Math.exp(score) / (1 + Math.exp(score));
}

function logit(probability: number): number {
  return Math.log(probability / (1 - probability));
}

function meanOf(labels: Uint8Array): number {
  let sum = 0;
  for (const label of labels) sum += label;
  return sum / labels.length;
}
