/**
 * Shapley values of an ensemble of trees in polynomial time: TreeSHAP, "path dependent" (Lundberg, Erion, Lee: Consistent
 * Individualized Feature Attribution for Tree Ensembles, 2018, algorithm 2), as LightGBM's predict_contrib and XGBoost's
 * pred_contribs have it. What a feature that is not known would have done is the mean over both sides of a split, by how
 * much of the training data went either way.
 */
import { AssayError } from '@assay/contracts';
import { BRANCH_LT, BRANCH_MEMBER, type TreeCovers, type TreeEnsemble } from '@assay/onnx';

/** The work of a tree grows with leaves × depth². */
export const MAX_DEPTH = 256;

/** The path's first element stands for no column. */
const NO_COLUMN = -1;

export interface TreeShap {
  /** The mean of the ensemble's sum, by the covers. */
  readonly expected: number;
  /**
   * Adds to `contributions`, one a column, what each column of a row adds to `expected`; together they give the
   * ensemble's sum for that row.
   */
  explain(row: Float64Array, contributions: Float64Array): void;
  /** The ensemble's sum for a row. */
  sum(row: Float64Array): number;
}

/** A leaf is ~its number. */
interface Nodes {
  readonly left: Int32Array;
  readonly right: Int32Array;
  /** Of a split's cover, what went to either side. */
  readonly leftShare: Float64Array;
  readonly rightShare: Float64Array;
}

/** @throws AssayError UNPROCESSABLE_MODEL for trees that are no trees, or too deep */
export function createTreeShap(ensemble: TreeEnsemble, covers: TreeCovers): TreeShap {
  const nodes = nodesOf(ensemble, covers);
  let depth = 0;
  let expected = 0;
  for (const root of ensemble.roots) {
    const found = measure(ensemble, nodes, root);
    depth = Math.max(depth, found.depth);
    expected += found.mean;
  }
  const walk = new PathWalk(ensemble, nodes, depth);
  return {
    expected,
    explain(row, contributions) {
      for (const root of ensemble.roots) walk.explain(root, row, contributions);
    },
    sum(row) {
      let sum = 0;
      for (const root of ensemble.roots) sum += leafOf(ensemble, nodes, root, row);
      return sum;
    },
  };
}

function nodesOf(ensemble: TreeEnsemble, covers: TreeCovers): Nodes {
  const count = ensemble.splits.length;
  const side = (ids: readonly number[], isLeaf: readonly boolean[]) =>
    Int32Array.from(ids, (id, i) => (isLeaf[i] ? ~id : id));
  const [left, right] = [side(ensemble.left, ensemble.leftIsLeaf), side(ensemble.right, ensemble.rightIsLeaf)];
  const coverOf = (id: number): number => {
    const cover = id < 0 ? covers.leaves[~id] : covers.splits[id];
    if (cover === undefined) throw new AssayError('UNPROCESSABLE_MODEL', `the trees name a node ${id} that they lack`);
    return cover;
  };
  const leftShare = new Float64Array(count);
  const rightShare = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const [l, r] = [coverOf(left[i] ?? 0), coverOf(right[i] ?? 0)];
    // Of both sides together: a lone leaf stands on either side of a split, and Hessians are rounded sums.
    leftShare[i] = l / (l + r);
    rightShare[i] = r / (l + r);
  }
  return { left, right, leftShare, rightShare };
}

/** How deep a tree is, and its mean; each node is met once, else it is no tree. */
function measure(ensemble: TreeEnsemble, nodes: Nodes, root: number): { depth: number; mean: number } {
  let [depth, mean, met] = [0, 0, 0];
  const pending = [{ node: root, share: 1, level: 0 }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, share, level } = next;
    depth = Math.max(depth, level);
    if (node < 0) {
      mean += share * (ensemble.leaves[~node] ?? 0);
      continue;
    }
    if (++met > ensemble.splits.length || level >= MAX_DEPTH) {
      throw new AssayError('UNPROCESSABLE_MODEL', `a tree is more than ${MAX_DEPTH} splits deep; it is not explained`);
    }
    pending.push(
      { node: nodes.left[node] ?? 0, share: share * (nodes.leftShare[node] ?? 0), level: level + 1 },
      { node: nodes.right[node] ?? 0, share: share * (nodes.rightShare[node] ?? 0), level: level + 1 },
    );
  }
  return { depth, mean };
}

function goesLeft(
  { features, splits, modes, sets, missingIsMember }: TreeEnsemble,
  node: number,
  row: Float64Array,
): boolean {
  const value = row[features[node] ?? 0] ?? Number.NaN;
  if (Number.isNaN(value)) return missingIsMember[node] === true;
  const mode = modes[node];
  if (mode === BRANCH_MEMBER) return sets[node]?.has(value) === true;
  const split = splits[node] ?? 0;
  return mode === BRANCH_LT ? value < split : value <= split;
}

function leafOf(ensemble: TreeEnsemble, nodes: Nodes, root: number, row: Float64Array): number {
  let node = root;
  while (node >= 0) node = (goesLeft(ensemble, node, row) ? nodes.left[node] : nodes.right[node]) ?? -1;
  return ensemble.leaves[~node] ?? 0;
}

/**
 * The walk down a tree with the path of distinct columns above each node. Element i of a path that is at `base` says: which
 * column, which share of the data takes this path when the column is not known (zero) and when it is (one: 1 or 0), and the
 * weight of the subsets with i columns known.
 */
class PathWalk {
  readonly #ensemble: TreeEnsemble;
  readonly #nodes: Nodes;
  readonly #column: Int32Array;
  readonly #zero: Float64Array;
  readonly #one: Float64Array;
  readonly #weight: Float64Array;
  #row: Float64Array = new Float64Array();
  #contributions: Float64Array = new Float64Array();

  constructor(ensemble: TreeEnsemble, nodes: Nodes, depth: number) {
    this.#ensemble = ensemble;
    this.#nodes = nodes;
    const elements = ((depth + 2) * (depth + 3)) / 2; // each level keeps a path of its own
    this.#column = new Int32Array(elements);
    this.#zero = new Float64Array(elements);
    this.#one = new Float64Array(elements);
    this.#weight = new Float64Array(elements);
  }

  explain(root: number, row: Float64Array, contributions: Float64Array): void {
    this.#row = row;
    this.#contributions = contributions;
    this.#visit(root, 0, 0, 0, 1, 1, NO_COLUMN);
  }

  /** @param parent where the parent's path begins; `length` how many elements of it go on */
  #visit(node: number, parent: number, base: number, length: number, zero: number, one: number, column: number): void {
    for (let i = 0; i < length; i++) {
      this.#column[base + i] = this.#column[parent + i] ?? 0;
      this.#zero[base + i] = this.#zero[parent + i] ?? 0;
      this.#one[base + i] = this.#one[parent + i] ?? 0;
      this.#weight[base + i] = this.#weight[parent + i] ?? 0;
    }
    this.#extend(base, length, zero, one, column);
    if (node < 0) {
      this.#addLeaf(base, length, this.#ensemble.leaves[~node] ?? 0);
      return;
    }
    const { left, right, leftShare, rightShare } = this.#nodes;
    const split = this.#ensemble.features[node] ?? 0;
    const isLeft = goesLeft(this.#ensemble, node, this.#row);
    // A column that stands above already is taken out, and put back with both of its conditions.
    let last = length;
    let [zeroAbove, oneAbove] = [1, 1];
    for (let i = 1; i <= length; i++) {
      if (this.#column[base + i] !== split) continue;
      zeroAbove = this.#zero[base + i] ?? 0;
      oneAbove = this.#one[base + i] ?? 0;
      this.#unwind(base, length, i);
      last = length - 1;
      break;
    }
    const below = base + length + 1;
    const [leftZero, rightZero] = [(leftShare[node] ?? 0) * zeroAbove, (rightShare[node] ?? 0) * zeroAbove];
    this.#visit(left[node] ?? 0, base, below, last + 1, leftZero, isLeft ? oneAbove : 0, split);
    this.#visit(right[node] ?? 0, base, below, last + 1, rightZero, isLeft ? 0 : oneAbove, split);
  }

  #extend(base: number, length: number, zero: number, one: number, column: number): void {
    const weight = this.#weight;
    this.#column[base + length] = column;
    this.#zero[base + length] = zero;
    this.#one[base + length] = one;
    weight[base + length] = length === 0 ? 1 : 0;
    for (let i = length - 1; i >= 0; i--) {
      const at = base + i;
      const old = weight[at] ?? 0;
      weight[at + 1] = (weight[at + 1] ?? 0) + (one * old * (i + 1)) / (length + 1);
      weight[at] = (zero * old * (length - i)) / (length + 1);
    }
  }

  /** Takes element `index` out of a path whose last is `length`. */
  #unwind(base: number, length: number, index: number): void {
    const weight = this.#weight;
    const [zero, one] = [this.#zero[base + index] ?? 0, this.#one[base + index] ?? 0];
    let next = weight[base + length] ?? 0;
    for (let i = length - 1; i >= 0; i--) {
      const at = base + i;
      const old = weight[at] ?? 0;
      if (one !== 0) {
        const now = (next * (length + 1)) / ((i + 1) * one);
        weight[at] = now;
        next = old - (now * zero * (length - i)) / (length + 1);
      } else weight[at] = (old * (length + 1)) / (zero * (length - i));
    }
    for (let i = base + index; i < base + length; i++) {
      this.#column[i] = this.#column[i + 1] ?? 0;
      this.#zero[i] = this.#zero[i + 1] ?? 0;
      this.#one[i] = this.#one[i + 1] ?? 0;
    }
  }

  #addLeaf(base: number, length: number, value: number): void {
    for (let index = 1; index <= length; index++) {
      const at = base + index;
      const share = (this.#one[at] ?? 0) - (this.#zero[at] ?? 0);
      const column = this.#column[at] ?? 0;
      this.#contributions[column] =
        (this.#contributions[column] ?? 0) + this.#unwoundSum(base, length, index) * share * value;
    }
  }

  /** The sum of the weights that a path would have without element `index`. */
  #unwoundSum(base: number, length: number, index: number): number {
    const weight = this.#weight;
    const [zero, one] = [this.#zero[base + index] ?? 0, this.#one[base + index] ?? 0];
    let next = weight[base + length] ?? 0;
    let sum = 0;
    for (let i = length - 1; i >= 0; i--) {
      const old = weight[base + i] ?? 0;
      if (one !== 0) {
        const now = (next * (length + 1)) / ((i + 1) * one);
        sum += now;
        next = old - (now * zero * (length - i)) / (length + 1);
      } else sum += (old * (length + 1)) / (zero * (length - i));
    }
    return sum;
  }
}
