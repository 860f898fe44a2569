import type { TreeCovers, TreeEnsemble } from '@assay/onnx';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createTreeShap, MAX_DEPTH } from './tree-shap.ts';

const COLUMNS = 4;

type Drawn = { readonly leaf: number; readonly cover: number } | Split;
interface Split {
  readonly column: number;
  readonly mode: 0 | 1 | 6;
  readonly split: number;
  readonly missingIsMember: boolean;
  readonly left: Drawn;
  readonly right: Drawn;
}

const { tree } = fc.letrec<{ tree: Drawn; leaf: Drawn; split: Drawn }>((tie) => ({
  tree: fc.oneof({ maxDepth: 5, depthSize: 'large' }, tie('leaf'), tie('split')),
  leaf: fc.record({ leaf: fc.double({ min: -4, max: 4, noNaN: true }), cover: fc.integer({ min: 1, max: 1000 }) }),
  split: fc.record({
    column: fc.integer({ min: 0, max: COLUMNS - 1 }),
    mode: fc.constantFrom<Split['mode'][]>(0, 1, 6),
    split: fc.integer({ min: 0, max: 3 }),
    missingIsMember: fc.boolean(),
    left: tie('tree'),
    right: tie('tree'),
  }),
}));
const row = fc.array(fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constant(Number.NaN)), {
  minLength: COLUMNS,
  maxLength: COLUMNS,
});

const coverOf = (node: Drawn): number => ('leaf' in node ? node.cover : coverOf(node.left) + coverOf(node.right));

/** The arrays of an ensemble of these trees; a lone leaf stands on both sides of a split, as the writer has it. */
function ensembleOf(trees: readonly Drawn[]): { ensemble: TreeEnsemble; covers: TreeCovers } {
  const nodes: { split: Split; left: number; right: number }[] = [];
  const leaves: { leaf: number; cover: number }[] = [];
  const add = (node: Drawn): number => {
    if ('leaf' in node) return ~(leaves.push(node) - 1);
    const at = nodes.push({ split: node, left: 0, right: 0 }) - 1;
    nodes[at] = { split: node, left: add(node.left), right: add(node.right) };
    return at;
  };
  const roots = trees.map((root) => {
    if (!('leaf' in root)) return add(root);
    const leaf = add(root);
    const lone: Split = { column: 0, mode: 0, split: 0, missingIsMember: false, left: root, right: root };
    return nodes.push({ split: lone, left: leaf, right: leaf }) - 1;
  });
  const idOf = (id: number) => (id < 0 ? ~id : id);
  return {
    ensemble: {
      features: nodes.map(({ split }) => split.column),
      splits: Float64Array.from(nodes, ({ split }) => split.split),
      modes: Uint8Array.from(nodes, ({ split }) => split.mode),
      sets: nodes.map(({ split }) => (split.mode === 6 ? new Set([split.split, 3]) : undefined)),
      missingIsMember: nodes.map(({ split }) => split.missingIsMember),
      left: nodes.map(({ left }) => idOf(left)),
      right: nodes.map(({ right }) => idOf(right)),
      leftIsLeaf: nodes.map(({ left }) => left < 0),
      rightIsLeaf: nodes.map(({ right }) => right < 0),
      roots,
      leaves: Float64Array.from(leaves, ({ leaf }) => leaf),
      leafTargets: leaves.map(() => 0),
      targets: 1,
    },
    covers: {
      splits: Float32Array.from(nodes, ({ split }) => coverOf(split)),
      leaves: Float32Array.from(leaves, ({ cover }) => cover),
    },
  };
}

function goesLeft({ column, mode, split, missingIsMember }: Split, values: readonly number[]): boolean {
  const value = values[column] ?? Number.NaN;
  if (Number.isNaN(value)) return missingIsMember;
  if (mode === 6) return value === split || value === 3;
  return mode === 1 ? value < split : value <= split;
}

/** What a tree gives when only some columns are known: by the definition. */
function expectation(node: Drawn, values: readonly number[], known: number): number {
  if ('leaf' in node) return node.leaf;
  if ((known >> node.column) & 1) return expectation(goesLeft(node, values) ? node.left : node.right, values, known);
  const share = coverOf(node.left) / coverOf(node);
  return share * expectation(node.left, values, known) + (1 - share) * expectation(node.right, values, known);
}

const factorial = (n: number): number => (n <= 1 ? 1 : n * factorial(n - 1));

/** Shapley values by their definition: over all subsets of the columns. */
function shapley(trees: readonly Drawn[], values: readonly number[]): number[] {
  const value = (known: number) => trees.reduce((sum, tree) => sum + expectation(tree, values, known), 0);
  return Array.from({ length: COLUMNS }, (_, column) => {
    let total = 0;
    for (let known = 0; known < 1 << COLUMNS; known++) {
      if ((known >> column) & 1) continue;
      const size = [0, 1, 2, 3].filter((i) => (known >> i) & 1).length;
      const weight = (factorial(size) * factorial(COLUMNS - size - 1)) / factorial(COLUMNS);
      total += weight * (value(known | (1 << column)) - value(known));
    }
    return total;
  });
}

describe('TreeSHAP', () => {
  test('is the Shapley value by its definition, columns split several times on a path and missing values included', () => {
    fc.assert(
      fc.property(fc.array(tree, { minLength: 1, maxLength: 3 }), row, (trees, values) => {
        const { ensemble, covers } = ensembleOf(trees);
        const shap = createTreeShap(ensemble, covers);
        const contributions = new Float64Array(COLUMNS);
        shap.explain(Float64Array.from(values), contributions);
        const expected = shapley(trees, values);
        for (const [column, contribution] of contributions.entries()) {
          expect(Math.abs(contribution - (expected[column] ?? Number.NaN))).toBeLessThan(1e-9);
        }
        const sum = contributions.reduce((total, contribution) => total + contribution, shap.expected);
        expect(Math.abs(sum - shap.sum(Float64Array.from(values)))).toBeLessThan(1e-9);
      }),
      { numRuns: 500, seed: 1 },
    );
  });

  test('a tree too deep to be explained in time is refused', () => {
    let deep: Drawn = { leaf: 1, cover: 1 };
    for (let i = 0; i <= MAX_DEPTH; i++) {
      deep = { column: 0, mode: 0, split: i, missingIsMember: false, left: deep, right: { leaf: 0, cover: 1 } };
    }
    const { ensemble, covers } = ensembleOf([deep]);
    expect(() => createTreeShap(ensemble, covers)).toThrow(`more than ${MAX_DEPTH} splits deep`);
  });
});
