/**
 * Orders of categories by which trees that split by sets can compare instead: category c of an **ordering** has a position,
 * and the split is "position ≤ n".
 *
 * A split only tells apart the categories that come to it: those that the splits above it let through. An ordering is a
 * row of **pieces**, whose categories no split has told apart yet. It takes another split when the members among those that
 * come are its beginning, or its end, but for one piece, which is then cut in two. So splits below each other share one, as
 * do splits beside each other whose sets are nested or apart.
 */

/** Trees that split by sets of categories, some of them; one entry a node. */
export interface SetTrees {
  readonly roots: readonly number[];
  /** Columns of the matrix. */
  readonly features: readonly number[];
  /** undefined where a node does not split by a set. */
  readonly sets: readonly (ReadonlySet<number> | undefined)[];
  readonly missingIsMember: readonly boolean[];
  /** Members go left. */
  readonly left: readonly number[];
  readonly right: readonly number[];
  readonly leftIsLeaf: readonly boolean[];
  readonly rightIsLeaf: readonly boolean[];
}

export interface Ordering {
  readonly feature: number;
  /** Of each category. */
  readonly positions: readonly number[];
}

export interface OrderedSplit {
  readonly ordering: Ordering;
  readonly atMost: number;
  /** Members are those beyond it. */
  readonly isReversed: boolean;
}

export interface Orderings {
  readonly byFeature: ReadonlyMap<number, readonly Ordering[]>;
  /** By node. */
  readonly splits: ReadonlyMap<number, OrderedSplit>;
}

/** Categories looked at while they are put in order; some seconds. */
const MAX_WORK = 500_000_000;

/** A stretch of an ordering. Its later part keeps the object when it is cut, so that what ends with it still does. */
interface Piece {
  /** Categories that come to the split that is looked at. */
  members: number;
  others: number;
}

interface Draft {
  readonly feature: number;
  readonly pieces: Piece[];
  /** By category. */
  readonly pieceOf: Piece[];
}

/** Between two pieces: after `last`, or before all. */
interface Cut {
  readonly draft: Draft;
  readonly last: Piece | undefined;
  readonly isReversed: boolean;
}

/** By feature: the categories that come to a node; a feature that no split above asks for is not in it. */
type Coming = ReadonlyMap<number, readonly number[]>;

/**
 * @param categoriesOf by feature, the values that it can have; NaN is a missing one
 * @returns undefined when more than `maxOrderings` are needed, or it takes too long
 */
export function orderSplits(
  trees: SetTrees,
  categoriesOf: ReadonlyMap<number, readonly number[]>,
  maxOrderings: number,
): Orderings | undefined {
  const drafts: Draft[] = [];
  const cuts = new Map<number, Cut>();
  let work = 0;
  for (const root of trees.roots) {
    const own: Draft[] = []; // another tree's are seldom of use, and looking at them all takes long
    const pending: { node: number; coming: Coming }[] = [{ node: root, coming: new Map() }];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const { node, coming } = next;
      const feature = trees.features[node] ?? -1;
      const set = trees.sets[node];
      const categories = categoriesOf.get(feature);
      let [below, above]: [Coming, Coming] = [coming, coming];
      if (set !== undefined && categories !== undefined) {
        const isMember = (category: number): boolean => {
          const value = categories[category] ?? Number.NaN;
          return Number.isNaN(value) ? trees.missingIsMember[node] === true : set.has(value);
        };
        const here = coming.get(feature) ?? [...categories.keys()];
        const [members, others] = [here.filter(isMember), here.filter((category) => !isMember(category))];
        work += here.length * (own.length + 3);
        if (work > MAX_WORK) return undefined;
        let cut: Cut | undefined;
        for (const draft of own) if (draft.feature === feature) cut ??= tryCut(draft, members, others);
        if (cut === undefined) {
          const whole: Piece = { members: 0, others: 0 };
          const draft = { feature, pieces: [whole], pieceOf: categories.map(() => whole) };
          own.push(draft);
          if (drafts.push(draft) > maxOrderings) return undefined;
          cut = tryCut(draft, members, others);
        }
        if (cut !== undefined) cuts.set(node, cut);
        below = new Map(coming).set(feature, members);
        above = new Map(coming).set(feature, others);
      }
      if (trees.leftIsLeaf[node] !== true) pending.push({ node: trees.left[node] ?? 0, coming: below });
      if (trees.rightIsLeaf[node] !== true) pending.push({ node: trees.right[node] ?? 0, coming: above });
    }
  }
  return finish(drafts, cuts);
}

/** Cuts the ordering between members and others, where that can be. */
function tryCut(draft: Draft, members: readonly number[], others: readonly number[]): Cut | undefined {
  const { pieces, pieceOf } = draft;
  for (const piece of pieces) {
    piece.members = 0;
    piece.others = 0;
  }
  for (const category of members) {
    const piece = pieceOf[category];
    if (piece !== undefined) piece.members++;
  }
  for (const category of others) {
    const piece = pieceOf[category];
    if (piece !== undefined) piece.others++;
  }
  const asBeginning = endOf(pieces, 'members', 'others');
  if (asBeginning !== undefined) return cutAfter(draft, asBeginning, members, false);
  const asEnd = endOf(pieces, 'others', 'members');
  return asEnd === undefined ? undefined : cutAfter(draft, asEnd, others, true);
}

/** The number of pieces that begin with `first` and no `then`, when all after the next one have no `first`. */
function endOf(pieces: readonly Piece[], first: 'members' | 'others', then: 'members' | 'others'): number | undefined {
  let end = pieces.findIndex((piece) => piece[then] > 0);
  if (end === -1) end = pieces.length;
  return pieces.slice(end + 1).some((piece) => piece[first] > 0) ? undefined : end;
}

/** Cuts after the first `end` pieces and those of `low` that are in the next one. */
function cutAfter(draft: Draft, end: number, low: readonly number[], isReversed: boolean): Cut {
  const { pieces, pieceOf } = draft;
  const mixed = pieces[end];
  const moved = mixed === undefined ? [] : low.filter((category) => pieceOf[category] === mixed);
  if (moved.length === 0) return { draft, last: pieces[end - 1], isReversed };
  const piece: Piece = { members: 0, others: 0 };
  pieces.splice(end, 0, piece);
  for (const category of moved) pieceOf[category] = piece;
  return { draft, last: piece, isReversed };
}

function finish(drafts: readonly Draft[], cuts: ReadonlyMap<number, Cut>): Orderings {
  const byFeature = new Map<number, Ordering[]>();
  const made = new Map<Draft, { readonly ordering: Ordering; readonly positionOf: ReadonlyMap<Piece, number> }>();
  for (const draft of drafts) {
    const positionOf = new Map(draft.pieces.map((piece, i) => [piece, i]));
    const positions = draft.pieceOf.map((piece) => positionOf.get(piece) ?? 0);
    const ordering = { feature: draft.feature, positions };
    made.set(draft, { ordering, positionOf });
    const list = byFeature.get(draft.feature);
    if (list === undefined) byFeature.set(draft.feature, [ordering]);
    else list.push(ordering);
  }
  const splits = new Map<number, OrderedSplit>();
  for (const [node, { draft, last, isReversed }] of cuts) {
    const found = made.get(draft);
    if (found === undefined) continue;
    const atMost = last === undefined ? -1 : (found.positionOf.get(last) ?? -1);
    splits.set(node, { ordering: found.ordering, atMost, isReversed });
  }
  return { byFeature, splits };
}
