/**
 * The nodes that join outputs of models. A scalar is [N], a vector of k [N, k]. All arithmetic is in double, and a result
 * has the type of what it is made of. Every operator here means the same from opset 11 on, and
 * those that pick, cast and reshape from 7 on; a vote among strings needs 19.
 */
import { AssayError } from '@assay/contracts';
import { elementType, int } from '../attributes.ts';
import { addInterpolation } from '../calibration.ts';
import type { ServedElementType } from '../element-types.ts';
import type { GraphBuilder } from '../graph-builder.ts';
import { float64Tensor, int64Tensor, type Tensor } from '../tensors.ts';

export type FloatType = 'float32' | 'float64';

export function addCast(graph: GraphBuilder, value: string, from: ServedElementType, to: ServedElementType): string {
  return from === to ? value : graph.node('Cast', [value], { attributes: { to: elementType(to) } });
}

/** @param tail dimensions behind the rows */
export function addReshape(graph: GraphBuilder, value: string, tail: readonly number[]): string {
  return graph.node('Reshape', [value, graph.constant(int64Tensor([-1, ...tail]))]);
}

/** Position `at` of a vector, as a scalar. */
export function addPick(graph: GraphBuilder, vector: string, at: number): string {
  return graph.node('Gather', [vector, graph.constant(int64Tensor([at], []))], { attributes: { axis: int(1) } });
}

/** Scalars and vectors side by side, as one vector. @param parts each with its elements a row */
export function addConcat(
  graph: GraphBuilder,
  parts: readonly { readonly name: string; readonly width: number }[],
): string {
  const columns = parts.map(({ name, width }) => addReshape(graph, name, [width]));
  return graph.node('Concat', columns, { attributes: { axis: int(1) } });
}

/** Σ weightₖ · valueₖ, summed in that order, with weights that sum to 1. */
export function addMean(
  graph: GraphBuilder,
  values: readonly string[],
  weights: readonly number[],
  type: FloatType,
): string {
  const terms = values.map((value, k) =>
    graph.node('Mul', [addCast(graph, value, type, 'float64'), scalar(graph, weights[k] ?? 0)]),
  );
  const sum = terms.reduce((before, term) => graph.node('Add', [before, term]));
  return addCast(graph, sum, 'float64', type);
}

/** The label with the most weight behind it; of equals the one that a voter named earlier gives. */
export function addVote(graph: GraphBuilder, labels: readonly string[], weights: readonly number[]): string {
  const voters = labels.length;
  const all = addConcat(
    graph,
    labels.map((name) => ({ name, width: 1 })),
  );
  // Which voters agree with which: [N, voters, voters].
  const agreement = graph.node('Equal', [addReshape(graph, all, [voters, 1]), addReshape(graph, all, [1, voters])]);
  const support = graph.node('MatMul', [
    addCast(graph, agreement, 'bool', 'float64'),
    graph.constant(float64Tensor(weights, [voters, 1])),
  ]);
  const winner = graph.node('ArgMax', [addReshape(graph, support, [voters])], { attributes: { axis: int(1) } });
  return addReshape(graph, graph.node('GatherElements', [all, winner], { attributes: { axis: int(1) } }), []);
}

/** The class of the greatest probability; of equals the first. @param classes without them its position */
export function addLabel(graph: GraphBuilder, probabilities: string, classes: Tensor | undefined): string {
  const attributes = { axis: int(1), keepdims: int(0) };
  const position = graph.node('ArgMax', [probabilities], { attributes });
  return classes === undefined ? position : graph.node('Gather', [graph.constant(classes), position]);
}

export type ProbabilityMap =
  /** sigmoid(slope · logit(p) + intercept); slope above 0 */
  | { readonly kind: 'platt'; readonly slope: number; readonly intercept: number }
  | { readonly kind: 'isotonic'; readonly x: readonly number[]; readonly y: readonly number[] };

/**
 * A probability calibrated.
 * @param probability a scalar, or a vector of the two of both classes, of which the second is calibrated
 */
export function addCalibration(
  graph: GraphBuilder,
  probability: string,
  { isVector, type, map }: { readonly isVector: boolean; readonly type: FloatType; readonly map: ProbabilityMap },
): string {
  const given = isVector ? addPick(graph, probability, 1) : probability;
  const double = addReshape(graph, addCast(graph, given, type, 'float64'), [1]);
  const calibrated = map.kind === 'platt' ? addPlatt(graph, double, map) : addInterpolation(graph, double, map);
  if (!isVector) return addCast(graph, addReshape(graph, calibrated, []), 'float64', type);
  const other = graph.node('Sub', [scalar(graph, 1), calibrated]);
  const both = graph.node('Concat', [other, calibrated], { attributes: { axis: int(1) } });
  return addCast(graph, both, 'float64', type);
}

/** logit(0) is −∞ and logit(1) ∞, which the sigmoid takes back to 0 and 1. */
function addPlatt(
  graph: GraphBuilder,
  probability: string,
  { slope, intercept }: { readonly slope: number; readonly intercept: number },
): string {
  if (!(slope > 0) || !Number.isFinite(slope) || !Number.isFinite(intercept)) {
    throw new AssayError('INVALID_ARGUMENT', `a calibration has slope ${slope} and intercept ${intercept}`);
  }
  const against = graph.node('Log', [graph.node('Sub', [scalar(graph, 1), probability])]);
  const logit = graph.node('Sub', [graph.node('Log', [probability]), against]);
  const scaled = graph.node('Mul', [logit, scalar(graph, slope)]);
  return graph.node('Sigmoid', [graph.node('Add', [scaled, scalar(graph, intercept)])]);
}

function scalar(graph: GraphBuilder, value: number): string {
  return graph.constant(float64Tensor([value], []));
}
