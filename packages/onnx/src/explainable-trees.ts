/**
 * What an explanation needs of a graph that scores by one ensemble of trees: the ensemble, how much of the training data
 * came to each of its nodes, which input each column of its matrix is made of, and a graph that gives that matrix.
 */
import { findAttribute, intOf } from './attributes.ts';
import { editGraph } from './edit-graph.ts';
import { valueInfoFields } from './graph-builder.ts';
import { type MatrixColumn, matrixColumns } from './matrix-columns.ts';
import type { Node, OnnxModel } from './model.ts';
import { messageField } from './protobuf.ts';
import { readTreeEnsemble, type TreeEnsemble } from './read-trees.ts';
import { GRAPH } from './schema.ts';
import { readCovers, type TreeCovers } from './tree-covers.ts';

export interface ExplainableTrees {
  readonly ensemble: TreeEnsemble;
  readonly covers: TreeCovers;
  readonly columns: readonly MatrixColumn[];
  /** Gives instead of the model's outputs the matrix, float64 [N, columns], and the raw score, float64 [N, targets]. */
  readonly model: OnnxModel;
  readonly matrixName: string;
  readonly rawScoreName: string;
}

/** TreeEnsemble's aggregate_function and post_transform. */
const SUM = 1n;
const NONE = 0n;

/** @returns in words why the model cannot be explained, where it cannot */
export function explainableTrees(model: OnnxModel): ExplainableTrees | string {
  const ensembles = model.graph.nodes.filter(({ opType }) => opType.startsWith('TreeEnsemble'));
  const [node, second] = ensembles;
  if (node === undefined) return 'its graph holds no ensemble of trees';
  if (second !== undefined) return `its graph holds ${ensembles.length} ensembles of trees, not one`;
  const ensemble = node.opType === 'TreeEnsemble' ? readTreeEnsemble(node) : undefined;
  const isSum =
    intAttribute(node, 'aggregate_function', SUM) === SUM && intAttribute(node, 'post_transform', NONE) === NONE;
  if (ensemble === undefined || !isSum) {
    return `its ${node.opType} is of a form that is not explained; explained is a TreeEnsemble in double that gives a sum`;
  }
  const covers = readCovers(model, ensemble.splits.length, ensemble.leaves.length);
  if (covers === undefined) {
    return 'its graph does not say how much of the training data came to each node of the trees; train it anew with Assay';
  }
  const matrixName = node.inputs[0] ?? '';
  const columns = matrixColumns(model, matrixName);
  if (columns === undefined) return 'the columns of its trees cannot be followed back to single inputs';
  const rawScoreName = rawScoreOf(model, node.outputs[0] ?? '');
  const outputs = [...new Set([matrixName, rawScoreName])].map((name) =>
    messageField(GRAPH.output, valueInfoFields(name, 'float64', undefined)),
  );
  return {
    ensemble,
    covers,
    columns,
    matrixName,
    rawScoreName,
    model: editGraph(model, { remove: new Set(model.graph.outputs.map(({ field }) => field)), append: outputs }),
  };
}

function intAttribute(node: Node, name: string, otherwise: bigint): bigint {
  const attribute = findAttribute(node, name);
  return attribute === undefined ? otherwise : intOf(attribute);
}

/** The sum of the trees, or that plus a constant, which is where the base score stands. */
function rawScoreOf(model: OnnxModel, sum: string): string {
  const [consumer, second] = model.graph.nodes.filter(({ inputs }) => inputs.includes(sum));
  if (consumer?.opType !== 'Add' || second !== undefined) return sum;
  const other = consumer.inputs.find((input) => input !== sum);
  const isConstant =
    model.graph.initializers.some(({ name }) => name === other) ||
    model.graph.nodes.some(({ opType, outputs }) => opType === 'Constant' && outputs.includes(other ?? ''));
  return isConstant ? (consumer.outputs[0] ?? sum) : sum;
}
