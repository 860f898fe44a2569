/**
 * onnxruntime looks a category up in a hash table at every split by a set, and takes its fast way through a tree only where
 * all splits compare by ≤. So a graph whose trees split by sets of categories is derived into one that compares: each
 * category is given positions, by a table, such that every split is "position ≤ n". The rest of the file stays as it is, and
 * so do its results, bit for bit: every row comes to the same leaves, and they are summed in the same order.
 */
import {
  type AttributeValue,
  attributeFields,
  elementType,
  findAttribute,
  float64sOf,
  int,
  ints,
  tensor,
} from './attributes.ts';
import { type Ordering, type Orderings, orderSplits } from './category-orderings.ts';
import { editGraph, editOpset } from './edit-graph.ts';
import { nextDown } from './floating-point.ts';
import { nodeFields } from './graph-builder.ts';
import { columnsIn, joinsColumns } from './matrix-columns.ts';
import type { Node, OnnxModel } from './model.ts';
import { bytesField, type Field, messageField } from './protobuf.ts';
import { BRANCH_LT, readTreeEnsemble, type TreeEnsemble } from './read-trees.ts';
import { GRAPH, NODE } from './schema.ts';
import { float64Tensor, int64Tensor, uint8Tensor } from './tensors.ts';
import { freshNames } from './traversal.ts';

/** Names this derivation in the key of a cache: raise it when the derived graph changes. */
export const ORDERING_VERSION = 2;

/** Of a row of the derived matrix, in all: more would cost more to lay out than comparing saves. */
const MAX_COLUMNS = 4096;
/** Of the table of positions. */
const MAX_TABLE_CELLS = 2_000_000;
/** Reshape and Concat are used in the form that they have since then. */
const MIN_OPSET = 13;

/** The model whose sets are orderings; undefined where there are none, or where it cannot be. */
export function orderCategories(model: OnnxModel): OnnxModel | undefined {
  const [node, second] = model.graph.nodes.filter(({ opType }) => opType === 'TreeEnsemble');
  if (node === undefined || second !== undefined || editOpset(model) < MIN_OPSET) return undefined;
  const ensemble = readTreeEnsemble(node);
  const found = ensemble === undefined ? undefined : lookupsOf(model, node, ensemble);
  if (ensemble === undefined || found === undefined) return undefined;
  const { lookups, columns } = found;
  const categoriesOf = new Map([...lookups].map(([column, { categories }]) => [column, categories]));
  const orderings = orderSplits(ensemble, categoriesOf, MAX_COLUMNS);
  if (orderings === undefined || orderings.splits.size === 0) return undefined;
  return rewrite(model, node, { ensemble, lookups, columns, orderings });
}

/** The LabelEncoder that a column of the trees' matrix comes from, and the values that it can give. */
interface Lookup {
  readonly node: Node;
  readonly values: Float64Array;
  readonly unknown: number;
  /** Distinct, NaN (a missing value) included. */
  readonly categories: readonly number[];
}

interface Lookups {
  /** By column of the matrix, for each that is split by sets. */
  readonly lookups: ReadonlyMap<number, Lookup>;
  /** Of the matrix, in all. */
  readonly columns: number;
}

/** undefined where a column that is split by sets comes from elsewhere. */
function lookupsOf(model: OnnxModel, node: Node, { features, sets }: TreeEnsemble): Lookups | undefined {
  const makers = new Map(model.graph.nodes.flatMap((maker) => maker.outputs.map((name) => [name, maker] as const)));
  const columnsOf = columnsIn(model);
  const matrix = node.inputs[0] ?? '';
  const maker = makers.get(matrix);
  const lookups = new Map<number, Lookup>();
  let column = 0;
  for (const part of maker !== undefined && joinsColumns(maker) ? maker.inputs : [matrix]) {
    const width = columnsOf(part)?.length;
    if (width === undefined) return undefined;
    const encoder = makers.get(part);
    const lookup = encoder?.opType === 'LabelEncoder' && width === 1 ? lookupOf(encoder) : undefined;
    if (lookup !== undefined) lookups.set(column, lookup);
    column += width;
  }
  const isKnown = sets.every((set, i) => set === undefined || lookups.has(features[i] ?? -1));
  return isKnown ? { lookups, columns: column } : undefined;
}

function lookupOf(node: Node): Lookup | undefined {
  const [values, unknown] = [findAttribute(node, 'values_tensor'), findAttribute(node, 'default_tensor')];
  const numbers = values === undefined ? undefined : float64sOf(values);
  const other = unknown === undefined ? undefined : float64sOf(unknown)?.[0];
  if (numbers === undefined || other === undefined) return undefined;
  return { node, values: numbers, unknown: other, categories: [...new Set([...numbers, other])] };
}

interface Derivation extends Lookups {
  readonly ensemble: TreeEnsemble;
  readonly orderings: Orderings;
}

function rewrite(
  model: OnnxModel,
  node: Node,
  { ensemble, lookups: all, columns, orderings }: Derivation,
): OnnxModel | undefined {
  const { splits } = orderings;
  const lookups = [...orderings.byFeature]
    .flatMap(([column, orders]) => {
      const lookup = all.get(column);
      return lookup === undefined ? [] : [{ ...lookup, orderings: orders }];
    })
    .toSorted((a, b) => a.orderings.length - b.orderings.length);
  const fresh = freshNames(model);
  // The matrix as it was lies behind the orderings of the first, which has the fewest.
  const offset = lookups[0]?.orderings.length ?? 0;
  const width = Math.max(offset + columns, ...lookups.map(({ orderings }) => orderings.length));
  const tableRows = lookups.reduce((sum, { categories }) => sum + categories.length, 0);
  if (tableRows * width > MAX_TABLE_CELLS || lookups.length * width > MAX_COLUMNS) return undefined;
  const added: Field[] = [];
  const add = (
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>>,
    domain = '',
  ): string => {
    const output = fresh(`ordered_${opType}`);
    added.push(messageField(GRAPH.node, nodeFields({ opType, inputs, outputs: [output], domain, attributes })));
    return output;
  };
  const constant = (value: AttributeValue): string => add('Constant', [], { value });

  const table = new Float64Array(tableRows * width);
  const columnOf = new Map<Ordering, number>();
  const indexes: string[] = [];
  let firstRow = 0;
  for (const [part, { node: encoder, categories, values, unknown, orderings }] of lookups.entries()) {
    for (const [i, ordering] of orderings.entries()) {
      columnOf.set(ordering, part * width + i);
      for (const [row, position] of ordering.positions.entries()) table[(firstRow + row) * width + i] = position;
    }
    const rows = new Map(categories.map((category, i) => [category, firstRow + i]));
    const rowOf = (value: number): number => rows.get(value) ?? firstRow;
    const output = fresh('ordered_row');
    added.push(
      messageField(GRAPH.node, [
        ...nodeFields({ opType: 'LabelEncoder', inputs: encoder.inputs, outputs: [output], domain: encoder.domain }),
        ...replaced(encoder, {
          values_tensor: tensor(float64Tensor(values.map(rowOf))),
          default_tensor: tensor(float64Tensor([rowOf(unknown)])),
        }),
      ]),
    );
    indexes.push(output);
    firstRow += categories.length;
  }
  const [only] = indexes;
  const joined = indexes.length === 1 && only !== undefined ? only : add('Concat', indexes, { axis: int(1) });
  const index = add('Cast', [joined], { to: elementType('int64') });
  const gathered = add('Gather', [constant(tensor(float64Tensor(table, [tableRows, width]))), index], { axis: int(0) });
  // Written into what was gathered, which onnxruntime does in place; joining both would copy the long rows.
  const original = add('Unsqueeze', [node.inputs[0] ?? '', constant(tensor(int64Tensor([1])))], {});
  const places = constant(
    tensor(
      int64Tensor(
        Array.from({ length: columns }, (_, i) => offset + i),
        [1, 1, columns],
      ),
    ),
  );
  const placesOfRows = add('Expand', [places, add('Shape', [original], {})], {});
  const rows = add('ScatterElements', [gathered, placesOfRows, original], { axis: int(2) });
  const matrix = add('Reshape', [rows, constant(tensor(int64Tensor([-1, lookups.length * width])))], {});

  const featureIds = ensemble.features.map((feature, i) => {
    const split = splits.get(i);
    return split === undefined ? offset + feature : (columnOf.get(split.ordering) ?? 0);
  });
  const thresholds = ensemble.splits.map((split, i) => {
    const found = splits.get(i);
    if (found !== undefined) return found.atMost;
    return ensemble.modes[i] === BRANCH_LT ? nextDown(split) : split;
  });
  const isReversed = (i: number): boolean => splits.get(i)?.isReversed === true;
  const either = <T>(left: readonly T[], right: readonly T[]): T[] =>
    left.map((id, i) => (isReversed(i) ? (right[i] ?? id) : id));
  const { left, right, leftIsLeaf, rightIsLeaf } = ensemble;
  const trees = messageField(GRAPH.node, [
    ...nodeFields({ opType: node.opType, inputs: [matrix], outputs: node.outputs, domain: node.domain }),
    ...replaced(node, {
      nodes_featureids: ints(featureIds),
      nodes_splits: tensor(float64Tensor(thresholds)),
      nodes_modes: tensor(uint8Tensor(new Uint8Array(ensemble.modes.length))),
      nodes_truenodeids: ints(either(left, right)),
      nodes_falsenodeids: ints(either(right, left)),
      nodes_trueleafs: ints(either(leftIsLeaf, rightIsLeaf).map(Number)),
      nodes_falseleafs: ints(either(rightIsLeaf, leftIsLeaf).map(Number)),
      membership_values: undefined,
    }),
  ]);
  return editGraph(model, { replace: new Map([[node.field, [...added, trees]]]) });
}

/** The attributes of a node, some of them others or (undefined) left out. */
function replaced(node: Node, values: Readonly<Record<string, AttributeValue | undefined>>): Field[] {
  const kept = node.attributes.filter(({ name }) => !Object.hasOwn(values, name));
  return [
    ...kept.map(({ bytes }) => bytesField(NODE.attribute, bytes)),
    ...Object.entries(values).flatMap(([name, value]) =>
      value === undefined ? [] : [messageField(NODE.attribute, attributeFields(name, value))],
    ),
  ];
}
