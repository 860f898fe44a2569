/** XGBoost's model as trees that belong to no library: its rules for missing values, float32 and categories said. */
import { AssayError, parse } from '@assay/contracts';
import { nextDownFloat32, type TreeNode } from '@assay/onnx';
import Type from 'typebox';

/** What is read of a model in JSON (doc/model.schema); the rest is for XGBoost. */
const Model = Type.Object({
  learner: Type.Object({
    learner_model_param: Type.Object({ base_score: Type.String(), num_class: Type.Literal('0') }),
    objective: Type.Object({ name: Type.Literal('binary:logistic') }),
    gradient_booster: Type.Object({
      name: Type.Literal('gbtree'),
      model: Type.Object({ trees: Type.Array(Type.Unknown()) }),
    }),
  }),
});

/** A tree, as arrays over its nodes; node 0 is the root. */
interface DumpedTree {
  readonly left_children: readonly number[];
  readonly right_children: readonly number[];
  readonly default_left: readonly number[];
  readonly split_indices: readonly number[];
  /** 0: by a number, 1: by a category. */
  readonly split_type: readonly number[];
  /** Thresholds; of leaves their values. The shortest decimals of a float32. */
  readonly split_conditions: readonly number[];
  readonly sum_hessian: readonly number[];
  /** The sets of the nodes in `categories_nodes`: from `categories_segments`, `categories_sizes` long. */
  readonly categories: readonly number[];
  readonly categories_nodes: readonly number[];
  readonly categories_segments: readonly number[];
  readonly categories_sizes: readonly number[];
}

const NO_CHILD = -1;

export interface Trees {
  readonly trees: readonly TreeNode[];
  /** The raw score before any tree. */
  readonly baseScore: number;
}

/** @throws AssayError INTERNAL for a model that these trees cannot say; the parameters that lead there are refused before */
export function treesOf(dumped: unknown): Trees {
  const { learner } = parse(Model, dumped, 'model');
  return {
    // XGBoost's documented form.
    trees: learner.gradient_booster.model.trees.map((tree) => treeOf(tree as DumpedTree)),
    baseScore: rawBaseScore(learner.learner_model_param.base_score),
  };
}

/** `[4.492E-1]`, a list of one since XGBoost 3.1: a probability. */
function rawBaseScore(text: string): number {
  const probability = Math.fround(Number(text.replace(/^\[(.*)\]$/, '$1')));
  if (!(probability > 0 && probability < 1)) {
    throw new AssayError('INTERNAL', `an XGBoost model with the base score ${text} cannot be exported`);
  }
  return Math.log(probability / (1 - probability));
}

function treeOf(tree: DumpedTree): TreeNode {
  const sets = new Map<number, number[]>();
  for (const [i, node] of tree.categories_nodes.entries()) {
    const from = tree.categories_segments[i] ?? 0;
    sets.set(node, tree.categories.slice(from, from + (tree.categories_sizes[i] ?? 0)));
  }
  const at = (values: readonly number[], node: number): number => {
    const value = values[node];
    if (value === undefined) throw new AssayError('INTERNAL', `a tree of XGBoost's has no node ${node}`);
    return value;
  };
  const nodeOf = (node: number): TreeNode => {
    const leftChild = at(tree.left_children, node);
    const condition = Math.fround(at(tree.split_conditions, node));
    const cover = at(tree.sum_hessian, node);
    if (leftChild === NO_CHILD) return { leaf: condition, cover };
    const feature = at(tree.split_indices, node);
    const left = nodeOf(leftChild);
    const right = nodeOf(at(tree.right_children, node));
    const missingGoesLeft = at(tree.default_left, node) !== 0;
    if (at(tree.split_type, node) === 0)
      return { feature, ...float32Split(condition), missingGoesLeft, left, right, cover };
    // common::Decision: the members of the set go right, all others left; ours go left.
    const members = sets.get(node) ?? [];
    return { feature, members, missingGoesLeft: !missingGoesLeft, left: right, right: left, cover };
  };
  return nodeOf(0);
}

/**
 * XGBoost rounds a value to float32 and goes left when that is below its threshold; the graph has the double itself. What
 * rounds to a float32 below the threshold is what lies below the middle between the threshold and the float32 before it.
 * The middle itself, which a double holds exactly, is rounded to the one of both whose last bit is 0.
 */
export function float32Split(threshold: number): { threshold: number; comparison: 'at-most' | 'below' } {
  // Beyond the greatest float32 rounding goes on as if there were one more, 2^128, and calls that infinite.
  const before = Math.max(nextDownFloat32(threshold), -(2 ** 128));
  const middle = before / 2 + Math.min(threshold, 2 ** 128) / 2;
  return { threshold: middle, comparison: Math.fround(middle) < threshold ? 'at-most' : 'below' };
}
