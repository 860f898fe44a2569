/**
 * Ensembles of decision trees in a form that belongs to no library, and as ai.onnx.ml 5's TreeEnsemble in double:
 * thresholds, leaves and sums keep every bit, which no float form does.
 */
import { AssayError } from '@assay/contracts';
import * as attribute from './attributes.ts';
import type { GraphBuilder } from './graph-builder.ts';
import { BRANCH_LEQ, BRANCH_LT, BRANCH_MEMBER } from './read-trees.ts';
import { float64Tensor, uint8Tensor } from './tensors.ts';
import { COVERS_KEY, writeCovers } from './tree-covers.ts';

export interface TreeLeaf {
  readonly leaf: number;
  /** As of splits. */
  readonly cover?: number;
}

/**
 * A split by a number. `at-most` goes left when value ≤ threshold (LightGBM, scikit-learn), `below` when value < threshold
 * (XGBoost, which first rounds the value to float32: of a double the threshold is another). How a library's rules for missing values are said with `missingGoesLeft`:
 * LightGBM missing_type NaN: its default_left; missing_type None: a NaN counts as 0, so 0 ≤ threshold; missing_type Zero
 * cannot be said. XGBoost: its default_left. LightGBM takes |x| ≤ 1e-35f as 0: write its threshold −1e-35f one double
 * lower (nextDown).
 */
export interface NumberSplit {
  readonly feature: number;
  readonly threshold: number;
  /** Default `at-most`. */
  readonly comparison?: 'at-most' | 'below';
  readonly missingGoesLeft: boolean;
  readonly left: TreeNode;
  readonly right: TreeNode;
  /**
   * How much of the training data came here: LightGBM's count of rows, XGBoost's sum of Hessians. Explanations need it, of
   * every node of every tree.
   */
  readonly cover?: number;
}

/**
 * A split by a category: left when it is one of `members` (positions in the feature's list of categories). A category
 * that the list lacks is no member and goes right, unless it counts as missing (`unknownIsMissing`); a missing one goes
 * where `missingGoesLeft` says (LightGBM: right; XGBoost, whose members go right: exchange the sides).
 */
export interface CategorySplit {
  readonly feature: number;
  readonly members: readonly number[];
  readonly missingGoesLeft: boolean;
  readonly left: TreeNode;
  readonly right: TreeNode;
  readonly cover?: number;
}

export type TreeNode = TreeLeaf | NumberSplit | CategorySplit;

/** The raw score is the base score plus the sum of each tree's leaf, summed in the order of the trees. */
export interface TreePredictor {
  readonly kind: 'trees';
  /** A tree may be a single leaf; there may be no trees at all. */
  readonly trees: readonly TreeNode[];
  /** Default 0. XGBoost: logit(base_score); LightGBM has it in the first tree. */
  readonly baseScore?: number;
  /** Whether a category that its list lacks counts as a missing one. Default false. */
  readonly unknownIsMissing?: boolean;
}

/** What a tree may ask of a feature. */
export interface SplitFeature {
  readonly name: string;
  /** Number of categories; undefined for a number. */
  readonly categories: number | undefined;
}

/** onnxruntime reads trees by recursion; a deeper one could overflow its stack and end the process. */
const MAX_TREE_DEPTH = 2000;

/** The attributes of TreeEnsemble as they grow; one entry a node, or a leaf. */
interface Ensemble {
  readonly features: number[];
  readonly splits: number[];
  readonly modes: number[];
  readonly missingGoesLeft: number[];
  readonly left: number[];
  readonly right: number[];
  readonly leftIsLeaf: number[];
  readonly rightIsLeaf: number[];
  /** The sets of the member nodes in the order of the nodes, each ended by NaN. */
  readonly members: number[];
  readonly leaves: number[];
  readonly roots: number[];
  /** NaN where a node has none. */
  readonly splitCovers: number[];
  readonly leafCovers: number[];
}

/**
 * Adds the ensemble to a graph.
 * @param matrix the name of a float64 value [N, columns]; a category is its position, −1 when unknown, NaN when missing
 * @param columns the column of `matrix` of each feature
 * @returns the name of the raw score, float64 [N, 1]
 * @throws AssayError INVALID_ARGUMENT when a tree asks for something that its feature cannot answer
 */
export function addTreeEnsemble(
  graph: GraphBuilder,
  matrix: string,
  columns: readonly number[],
  features: readonly SplitFeature[],
  predictor: TreePredictor,
): string {
  const trees = predictor.trees.length === 0 ? [{ leaf: 0 }] : predictor.trees;
  const ensemble = flatten(trees, columns, features);
  const score = graph.node('TreeEnsemble', [matrix], {
    domain: 'ai.onnx.ml',
    attributes: {
      nodes_featureids: attribute.ints(ensemble.features),
      nodes_splits: attribute.tensor(float64Tensor(ensemble.splits)),
      nodes_modes: attribute.tensor(uint8Tensor(ensemble.modes)),
      nodes_missing_value_tracks_true: attribute.ints(ensemble.missingGoesLeft),
      nodes_truenodeids: attribute.ints(ensemble.left),
      nodes_falsenodeids: attribute.ints(ensemble.right),
      nodes_trueleafs: attribute.ints(ensemble.leftIsLeaf),
      nodes_falseleafs: attribute.ints(ensemble.rightIsLeaf),
      ...(ensemble.members.length === 0
        ? {}
        : { membership_values: attribute.tensor(float64Tensor(ensemble.members)) }),
      leaf_targetids: attribute.ints(new Uint8Array(ensemble.leaves.length)),
      leaf_weights: attribute.tensor(float64Tensor(ensemble.leaves)),
      tree_roots: attribute.ints(ensemble.roots),
      n_targets: attribute.int(1),
      aggregate_function: attribute.int(1), // SUM
      post_transform: attribute.int(0), // NONE
    },
  });
  const covers = [...ensemble.splitCovers, ...ensemble.leafCovers];
  if (covers.every((cover) => cover > 0)) graph.metadata(COVERS_KEY, writeCovers(covers));
  const baseScore = predictor.baseScore ?? 0;
  if (!Number.isFinite(baseScore)) throw new AssayError('INVALID_ARGUMENT', `the base score is ${baseScore}`);
  return baseScore === 0 ? score : graph.node('Add', [score, graph.constant(float64Tensor([baseScore]))]);
}

function flatten(trees: readonly TreeNode[], columns: readonly number[], features: readonly SplitFeature[]): Ensemble {
  const ensemble: Ensemble = {
    features: [],
    splits: [],
    modes: [],
    missingGoesLeft: [],
    left: [],
    right: [],
    leftIsLeaf: [],
    rightIsLeaf: [],
    members: [],
    leaves: [],
    roots: [],
    splitCovers: [],
    leafCovers: [],
  };
  trees.forEach((root, tree) => {
    ensemble.roots.push(ensemble.features.length);
    addTree(ensemble, root, `trees[${tree}]`, columns, features);
  });
  return ensemble;
}

/** A node that still has to be written, and where its number has to be written once it is known. */
interface Pending {
  readonly node: TreeNode;
  readonly depth: number;
  readonly reference: { readonly ids: number[]; readonly isLeaf: number[]; readonly at: number };
}

/** Writes a tree parent first, left before right; with a stack of its own, since trees may be deep. */
function addTree(
  ensemble: Ensemble,
  root: TreeNode,
  what: string,
  columns: readonly number[],
  features: readonly SplitFeature[],
): void {
  if ('leaf' in root) {
    addLeafAsTree(ensemble, root, what);
    return;
  }
  const ignored = { ids: [0], isLeaf: [0], at: 0 };
  const pending: Pending[] = [{ node: root, depth: 1, reference: ignored }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, depth, reference } = next;
    const isLeaf = 'leaf' in node;
    reference.isLeaf[reference.at] = Number(isLeaf);
    reference.ids[reference.at] = isLeaf ? addLeaf(ensemble, node, what) : ensemble.features.length;
    if (isLeaf) continue;
    if (depth > MAX_TREE_DEPTH) {
      throw new AssayError('INVALID_ARGUMENT', `${what} is more than ${MAX_TREE_DEPTH} splits deep; limit its depth`);
    }
    const at = ensemble.features.length;
    addSplit(ensemble, node, what, columns, features);
    const { left, right, leftIsLeaf, rightIsLeaf } = ensemble;
    pending.push({ node: node.right, depth: depth + 1, reference: { ids: right, isLeaf: rightIsLeaf, at } });
    pending.push({ node: node.left, depth: depth + 1, reference: { ids: left, isLeaf: leftIsLeaf, at } });
  }
}

function addLeaf(ensemble: Ensemble, { leaf, cover = Number.NaN }: TreeLeaf, what: string): number {
  if (!Number.isFinite(leaf)) throw new AssayError('INVALID_ARGUMENT', `${what} has a leaf of ${leaf}`);
  ensemble.leafCovers.push(cover);
  return ensemble.leaves.push(leaf) - 1;
}

/** TreeEnsemble's roots are splits: a lone leaf stands on both sides of one that does not matter. */
function addLeafAsTree(ensemble: Ensemble, root: TreeLeaf, what: string): void {
  const leaf = addLeaf(ensemble, root, what);
  ensemble.features.push(0);
  ensemble.splits.push(0);
  ensemble.modes.push(BRANCH_LEQ);
  ensemble.missingGoesLeft.push(0);
  ensemble.left.push(leaf);
  ensemble.right.push(leaf);
  ensemble.leftIsLeaf.push(1);
  ensemble.rightIsLeaf.push(1);
  ensemble.splitCovers.push(root.cover ?? Number.NaN);
}

function addSplit(
  ensemble: Ensemble,
  node: NumberSplit | CategorySplit,
  what: string,
  columns: readonly number[],
  features: readonly SplitFeature[],
): void {
  const feature = features[node.feature];
  const column = columns[node.feature];
  if (feature === undefined || column === undefined) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `${what} splits by feature ${node.feature}; there are ${features.length} features`,
    );
  }
  ensemble.features.push(column);
  ensemble.splitCovers.push(node.cover ?? Number.NaN);
  ensemble.missingGoesLeft.push(Number(node.missingGoesLeft));
  ensemble.left.push(0);
  ensemble.right.push(0);
  ensemble.leftIsLeaf.push(0);
  ensemble.rightIsLeaf.push(0);
  if ('members' in node) {
    checkMembers(node.members, feature, what);
    ensemble.splits.push(0);
    ensemble.modes.push(BRANCH_MEMBER);
    for (const member of node.members) ensemble.members.push(member);
    ensemble.members.push(Number.NaN);
  } else {
    if (Number.isNaN(node.threshold)) {
      throw new AssayError('INVALID_ARGUMENT', `${what} splits feature "${feature.name}" at NaN`);
    }
    ensemble.splits.push(node.threshold);
    ensemble.modes.push(node.comparison === 'below' ? BRANCH_LT : BRANCH_LEQ);
  }
}

function checkMembers(members: readonly number[], feature: SplitFeature, what: string): void {
  const categories = feature.categories ?? 0;
  const wrong = members.find((member) => !Number.isInteger(member) || member < 0 || member >= categories);
  if (wrong !== undefined || members.length === 0) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `${what} splits feature "${feature.name}" by ${wrong === undefined ? 'an empty set' : `category ${wrong}`}; ` +
        `it has ${categories} categories`,
    );
  }
}
