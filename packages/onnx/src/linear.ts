/** A linear model over tabular features: missing numbers become the mean, all are standardised, categories one-hot. */
import { AssayError } from '@assay/contracts';
import type { GraphBuilder } from './graph-builder.ts';
import type { CategoryTable, FeatureMatrix, TabularFeature } from './tabular-features.ts';
import { float64Tensor } from './tensors.ts';

/** The raw score is the intercept plus the sum of the features' terms. */
export interface LinearPredictor {
  readonly kind: 'linear';
  readonly intercept: number;
  /** One for each feature, in their order. */
  readonly terms: readonly LinearTerm[];
}

export type LinearTerm =
  /** weight · (value − mean) / scale; a missing value counts as the mean. */
  | { readonly kind: 'number'; readonly mean: number; readonly scale: number; readonly weight: number }
  /**
   * The weight of the category: what a one-hot vector times its weights gives. A missing and an unknown value have a
   * weight of their own, default 0 (no bit of the vector is set).
   */
  | {
      readonly kind: 'category';
      readonly weights: readonly number[];
      readonly missing?: number;
      readonly unknown?: number;
    };

/** One-hot encoding followed by a dot product is a look-up of the weight, at a fraction of the time. */
export function linearTable(predictor: LinearPredictor, feature: TabularFeature, index: number): CategoryTable {
  const term = predictor.terms[index];
  if (feature.encoding.kind !== 'category' || term?.kind !== 'category') throw mismatch(feature.name);
  const { weights, missing = 0, unknown = 0 } = term;
  if (weights.length !== feature.encoding.values.length) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `feature "${feature.name}" has ${feature.encoding.values.length} categories and ${weights.length} weights`,
    );
  }
  for (const weight of [...weights, missing, unknown]) checkFinite(feature.name, weight);
  return { values: weights, missing, unknown };
}

/**
 * @param matrix its category columns are made with linearTable
 * @returns the name of the raw score, float64 [N, 1]
 */
export function addLinearModel(
  graph: GraphBuilder,
  matrix: FeatureMatrix,
  features: readonly TabularFeature[],
  predictor: LinearPredictor,
): string {
  if (predictor.terms.length !== features.length) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `the linear model has ${predictor.terms.length} terms for ${features.length} features`,
    );
  }
  checkFinite('intercept', predictor.intercept);
  const mean = new Float64Array(features.length);
  const scale = new Float64Array(features.length);
  const weight = new Float64Array(features.length);
  features.forEach((feature, i) => {
    const column = matrix.columns[i] ?? 0;
    const term = toNumberTerm(predictor.terms[i], feature);
    mean[column] = term.mean;
    scale[column] = term.scale;
    weight[column] = term.weight;
  });
  const constant = (values: Float64Array, dims?: number[]) => graph.constant(float64Tensor(values, dims));
  const means = constant(mean);
  const imputed = graph.node('Where', [graph.node('IsNaN', [matrix.name]), means, matrix.name]);
  const standardised = graph.node('Div', [graph.node('Sub', [imputed, means]), constant(scale)]);
  const product = graph.node('MatMul', [standardised, constant(weight, [features.length, 1])]);
  return graph.node('Add', [product, constant(Float64Array.of(predictor.intercept))]);
}

/** A category's column holds its weight already, and is taken as it is: (w − 0) / 1 · 1. */
function toNumberTerm(term: LinearTerm | undefined, feature: TabularFeature): Extract<LinearTerm, { kind: 'number' }> {
  if (term?.kind !== feature.encoding.kind) throw mismatch(feature.name);
  if (term.kind === 'category') return { kind: 'number', mean: 0, scale: 1, weight: 1 };
  for (const value of [term.mean, term.scale, term.weight]) checkFinite(feature.name, value);
  if (term.scale <= 0) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `feature "${feature.name}" has a scale of ${term.scale}; it must be above 0`,
    );
  }
  return term;
}

function mismatch(name: string): AssayError {
  return new AssayError('INVALID_ARGUMENT', `feature "${name}" and its term are not of the same kind`);
}

function checkFinite(name: string, value: number): void {
  if (!Number.isFinite(value)) throw new AssayError('INVALID_ARGUMENT', `a weight of "${name}" is ${value}`);
}
