/** TreeEnsemble (ai.onnx.ml 5) in double, read back from a graph. */
import { findAttribute, float64sOf, intOf, intsOf, uint8sOf } from './attributes.ts';
import type { SetTrees } from './category-orderings.ts';
import type { Attribute, Node } from './model.ts';

/** nodes_modes of TreeEnsemble */
export const BRANCH_LEQ = 0;
export const BRANCH_LT = 1;
export const BRANCH_MEMBER = 6;

/** One entry a split, and one a leaf; what `left` and `right` name is a leaf where the next two say so. */
export interface TreeEnsemble extends SetTrees {
  readonly splits: Float64Array;
  readonly modes: Uint8Array;
  readonly leaves: Float64Array;
  readonly leafTargets: readonly number[];
  readonly targets: number;
}

/** undefined where it is of another form than these words have: in float, say, or with splits of other kinds. */
export function readTreeEnsemble(node: Node): TreeEnsemble | undefined {
  const of = <T>(name: string, read: (attribute: Attribute) => T): T | undefined => {
    const attribute = findAttribute(node, name);
    return attribute === undefined ? undefined : read(attribute);
  };
  const numbers = (name: string): number[] | undefined => of(name, intsOf)?.map(Number);
  const [modes, splits, leaves] = [
    of('nodes_modes', uint8sOf),
    of('nodes_splits', float64sOf),
    of('leaf_weights', float64sOf),
  ];
  const [features, left, right] = [
    numbers('nodes_featureids'),
    numbers('nodes_truenodeids'),
    numbers('nodes_falsenodeids'),
  ];
  const [leftIsLeaf, rightIsLeaf, roots] = [
    numbers('nodes_trueleafs'),
    numbers('nodes_falseleafs'),
    numbers('tree_roots'),
  ];
  const leafTargets = numbers('leaf_targetids');
  if (!modes || !splits || !leaves || !features || !left || !right || !leftIsLeaf || !rightIsLeaf || !roots)
    return undefined;
  if (!leafTargets || leafTargets.length !== leaves.length) return undefined;
  if (![...modes].every((mode) => mode === BRANCH_LEQ || mode === BRANCH_LT || mode === BRANCH_MEMBER))
    return undefined;
  const missing = numbers('nodes_missing_value_tracks_true') ?? [];
  const all = setsOf(of('membership_values', float64sOf) ?? new Float64Array());
  let next = 0;
  return {
    features,
    splits,
    modes,
    sets: [...modes].map((mode) => (mode === BRANCH_MEMBER ? all[next++] : undefined)),
    missingIsMember: features.map((_, i) => missing[i] === 1),
    left,
    right,
    leftIsLeaf: leftIsLeaf.map(Boolean),
    rightIsLeaf: rightIsLeaf.map(Boolean),
    roots,
    leaves,
    leafTargets,
    targets: Number(of('n_targets', intOf) ?? 1n),
  };
}

/** Each set is ended by NaN. */
function setsOf(members: Float64Array): ReadonlySet<number>[] {
  const sets: Set<number>[] = [];
  let current = new Set<number>();
  for (const member of members) {
    if (!Number.isNaN(member)) current.add(member);
    else {
      sets.push(current);
      current = new Set();
    }
  }
  return sets;
}
