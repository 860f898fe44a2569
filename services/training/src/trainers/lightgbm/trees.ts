/** LightGBM's dumped model as trees that belong to no library: its rules for missing values, zero and categories said. */
import { AssayError, parse } from '@assay/contracts';
import { nextDown, type TreeNode, type TreePredictor } from '@assay/onnx';
import Type from 'typebox';

/** What is read of `LGBM_BoosterDumpModel`; the rest is for people. */
const Dump = Type.Object({
  num_class: Type.Literal(1),
  num_tree_per_iteration: Type.Literal(1),
  average_output: Type.Optional(Type.Boolean()),
  objective: Type.String(),
  tree_info: Type.Array(Type.Object({ tree_structure: Type.Unknown() })),
});

interface DumpedLeaf {
  readonly leaf_value: number;
  /** Of a tree that is a leaf there is none. */
  readonly leaf_count?: number;
}
interface DumpedSplit {
  readonly split_feature: number;
  readonly threshold: number | string;
  readonly decision_type: '<=' | '==';
  readonly default_left: boolean;
  readonly missing_type: 'None' | 'Zero' | 'NaN';
  readonly left_child: DumpedNode;
  readonly right_child: DumpedNode;
  readonly internal_count: number;
}
type DumpedNode = DumpedLeaf | DumpedSplit;

/** LightGBM takes everything up to this as zero (meta.h: kZeroThreshold), so it is a frequent threshold. */
const NEGATIVE_ZERO_THRESHOLD = -Math.fround(1e-35);
/** The double below: LightGBM compares a value that is −1e-35f itself as zero, above the threshold. */
const BELOW_NEGATIVE_ZERO_THRESHOLD = nextDown(NEGATIVE_ZERO_THRESHOLD);

/** @throws AssayError INTERNAL for a model that these trees cannot say; the parameters that lead there are refused before */
export function treesOf(dumped: unknown): TreePredictor {
  const dump = parse(Dump, dumped, 'model');
  if (dump.average_output === true || !/^binary sigmoid:1$/.test(dump.objective)) {
    throw new AssayError('INTERNAL', `a LightGBM model with objective "${dump.objective}" cannot be exported`);
  }
  return {
    kind: 'trees',
    // LightGBM's documented form, checked field by field where the nodes are read.
    trees: dump.tree_info.map((tree) => nodeOf(tree.tree_structure as DumpedNode)),
  };
}

function nodeOf(node: DumpedNode): TreeNode {
  if (!('split_feature' in node)) return { leaf: node.leaf_value, cover: node.leaf_count ?? 1 };
  const branches = { left: nodeOf(node.left_child), right: nodeOf(node.right_child), cover: node.internal_count };
  if (node.decision_type === '==') {
    // Tree::CategoricalDecision: what is missing or in no set goes right.
    const members = String(node.threshold).split('||').map(Number);
    return { feature: node.split_feature, members, missingGoesLeft: false, ...branches };
  }
  const threshold = Number(node.threshold);
  return {
    feature: node.split_feature,
    threshold: threshold === NEGATIVE_ZERO_THRESHOLD ? BELOW_NEGATIVE_ZERO_THRESHOLD : threshold,
    missingGoesLeft: missingGoesLeft(node, threshold),
    ...branches,
  };
}

/** Tree::NumericalDecision. */
function missingGoesLeft(node: DumpedSplit, threshold: number): boolean {
  switch (node.missing_type) {
    case 'NaN':
      return node.default_left;
    case 'None':
      return 0 <= threshold; // a NaN counts as zero
    case 'Zero':
      throw new AssayError('INTERNAL', 'zero as missing cannot be exported');
  }
}
