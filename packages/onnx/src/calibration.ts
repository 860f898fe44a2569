/** From a raw score to the probability of the positive class, calibrated where wanted. */
import { AssayError } from '@assay/contracts';
import { elementType, int } from './attributes.ts';
import type { GraphBuilder } from './graph-builder.ts';
import { float64Tensor, int64Tensor } from './tensors.ts';

export type Calibration =
  /** sigmoid(slope · raw score + intercept); Platt 1999 */
  | { readonly kind: 'platt'; readonly slope: number; readonly intercept: number }
  /**
   * The uncalibrated probability, mapped by straight lines between the knots (x ascending, y not descending, both within
   * [0, 1]); outside of them the nearest knot's y.
   */
  | { readonly kind: 'isotonic'; readonly x: readonly number[]; readonly y: readonly number[] };

/** @param rawScore float64 [N, 1] @returns the name of the probability, float64 [N, 1] */
export function addProbability(graph: GraphBuilder, rawScore: string, calibration: Calibration | undefined): string {
  if (calibration?.kind === 'platt') {
    const { slope, intercept } = calibration;
    checkFinite('slope', slope);
    checkFinite('intercept', intercept);
    const scaled = graph.node('Mul', [rawScore, graph.constant(float64Tensor([slope]))]);
    return graph.node('Sigmoid', [graph.node('Add', [scaled, graph.constant(float64Tensor([intercept]))])]);
  }
  const probability = graph.node('Sigmoid', [rawScore]);
  return calibration === undefined ? probability : addInterpolation(graph, probability, calibration);
}

/**
 * y₀ + Σ slopeₖ · min(max(p − xₖ, 0), xₖ₊₁ − xₖ): each piece adds its rise as far as p has come. [N, 1] is broadcast
 * against the pieces.
 * @param probability float64 [N, 1]
 */
export function addInterpolation(
  graph: GraphBuilder,
  probability: string,
  { x, y }: { readonly x: readonly number[]; readonly y: readonly number[] },
): string {
  const { first, starts, widths, slopes } = checkKnots(x, y);
  const constant = (values: readonly number[], dims?: number[]) => graph.constant(float64Tensor(values, dims));
  if (slopes.length === 0) {
    return graph.node('Add', [graph.node('Mul', [probability, constant([0])]), constant([first])]);
  }
  const beyond = graph.node('Relu', [graph.node('Sub', [probability, constant(starts)])]);
  const within = graph.node('Min', [beyond, constant(widths)]);
  const rise = graph.node('MatMul', [within, constant(slopes, [slopes.length, 1])]);
  const sum = graph.node('Add', [rise, constant([first])]);
  return graph.node('Clip', [sum, constant([0], []), constant([1], [])]); // the sum may round past the last knot
}

interface Pieces {
  readonly first: number;
  readonly starts: readonly number[];
  readonly widths: readonly number[];
  readonly slopes: readonly number[];
}

function checkKnots(x: readonly number[], y: readonly number[]): Pieces {
  const first = y[0];
  if (first === undefined || x.length !== y.length) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `isotonic calibration has ${x.length} x and ${y.length} y; it needs pairs`,
    );
  }
  for (const value of [...x, ...y]) {
    if (!(value >= 0 && value <= 1))
      throw new AssayError('INVALID_ARGUMENT', `isotonic calibration has a knot at ${value}`);
  }
  const starts = x.slice(0, -1);
  const widths = starts.map((start, k) => (x[k + 1] ?? start) - start);
  const rises = starts.map((_, k) => (y[k + 1] ?? 0) - (y[k] ?? 0));
  if (widths.some((width) => width <= 0)) {
    throw new AssayError('INVALID_ARGUMENT', 'the x of isotonic calibration must ascend');
  }
  if (rises.some((rise) => rise < 0)) {
    throw new AssayError('INVALID_ARGUMENT', 'the y of isotonic calibration must not descend');
  }
  return { first, starts, widths, slopes: rises.map((rise, k) => rise / (widths[k] ?? 1)) };
}

function checkFinite(name: string, value: number): void {
  if (!Number.isFinite(value)) throw new AssayError('INVALID_ARGUMENT', `the ${name} of calibration is ${value}`);
}

/**
 * Declares the outputs of a binary classifier: `label` int64 [N], 1 where the probability is above one half, and
 * `probabilities` float32 [N, 2] of the classes 0 and 1.
 * @param probability float64 [N, 1]
 */
export function addBinaryOutputs(graph: GraphBuilder, probability: string): void {
  const above = graph.node('Greater', [probability, graph.constant(float64Tensor([0.5]))]);
  const label = graph.node('Cast', [above], { attributes: { to: elementType('int64') } });
  graph.node('Squeeze', [label, graph.constant(int64Tensor([1]))], { outputs: ['label'] });
  const other = graph.node('Sub', [graph.constant(float64Tensor([1])), probability]);
  const both = graph.node('Concat', [other, probability], { attributes: { axis: int(1) } });
  graph.node('Cast', [both], { attributes: { to: elementType('float32') }, outputs: ['probabilities'] });
  graph.output('label', 'int64', ['N']);
  graph.output('probabilities', 'float32', ['N', 2]);
}
