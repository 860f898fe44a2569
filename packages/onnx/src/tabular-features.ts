/**
 * The features of a tabular model inside its graph: one input each, of its own type, and all of them together as one
 * matrix of doubles.
 */
import { AssayError, type Dtype } from '@assay/contracts';
import { elementType, int, tensor } from './attributes.ts';
import { elementTypeOfDtype } from './element-types.ts';
import type { GraphBuilder } from './graph-builder.ts';
import { float64Tensor, int64Tensor, stringTensor, type Tensor } from './tensors.ts';

/** A feature of one value per row. `{ ...feature, encoding }` of a signature's feature is one. */
export interface TabularFeature {
  readonly name: string;
  readonly dtype: Dtype;
  readonly encoding: FeatureEncoding;
}

export type FeatureEncoding =
  /** Every dtype but string; bool is 0 or 1, a timestamp its microseconds. NaN is missing. */
  | { readonly kind: 'number' }
  /**
   * The values that the model knows, in the order of their positions. A string feature takes strings; int64 integers,
   * bigint beyond 2^53; float64 and float32 numbers, NaN being missing (a nullable integer is a float64).
   */
  | { readonly kind: 'category'; readonly values: readonly (string | number | bigint)[] };

/**
 * Strings that mean that there is no value: a null becomes "" in Assay's encoder, and one of the others when pandas and
 * MLflow hand over a frame. None of them can be a category.
 */
export const MISSING_STRINGS: readonly string[] = ['', 'None', 'nan', '<NA>'];

/** What a category becomes: a number per known value, one for a missing value and one for any other. */
export interface CategoryTable {
  readonly values: readonly number[];
  readonly missing: number;
  readonly unknown: number;
}

export interface FeatureMatrix {
  /** float64 [N, columns] */
  readonly name: string;
  /** The column of each feature, in the order of the features; the columns stand in another order. */
  readonly columns: readonly number[];
}

/**
 * Declares the inputs [N, 1] and joins them into one matrix. Numbers of a type are cast together, one node a type.
 * @param tableOf what the categories of a feature become
 * @throws AssayError INVALID_ARGUMENT for a feature that cannot be encoded
 */
export function addFeatureMatrix(
  graph: GraphBuilder,
  features: readonly TabularFeature[],
  tableOf: (feature: TabularFeature, index: number) => CategoryTable,
): FeatureMatrix {
  if (features.length === 0) throw new AssayError('INVALID_ARGUMENT', 'a tabular model needs a feature');
  for (const feature of features) {
    checkFeature(feature);
    graph.input(feature.name, elementTypeOfDtype(feature.dtype), ['N', 1]);
  }
  const parts: string[] = [];
  const order: number[] = [];
  const indices = [...features.keys()];
  const numbers = Map.groupBy(
    indices.filter((i) => features[i]?.encoding.kind === 'number'),
    (i) => elementTypeOfDtype(features[i]?.dtype ?? 'float64'),
  );
  for (const [type, members] of numbers) {
    const names = members.map((i) => features[i]?.name ?? '');
    order.push(...members);
    if (type === 'float64') parts.push(...names);
    else parts.push(toDouble(graph, concat(graph, names)));
  }
  for (const [i, feature] of features.entries()) {
    if (feature.encoding.kind !== 'category') continue;
    order.push(i);
    parts.push(addLookup(graph, feature, feature.encoding.values, tableOf(feature, i)));
  }
  const columns = new Array<number>(features.length).fill(0);
  order.forEach((feature, column) => {
    columns[feature] = column;
  });
  return { name: concat(graph, parts), columns };
}

function concat(graph: GraphBuilder, names: readonly string[]): string {
  const [only, second] = names;
  return only !== undefined && second === undefined
    ? only
    : graph.node('Concat', names, { attributes: { axis: int(1) } });
}

function toDouble(graph: GraphBuilder, name: string): string {
  return graph.node('Cast', [name], { attributes: { to: elementType('float64') } });
}

/** A category through a table: LabelEncoder finds the exact key, also of an int64 that no double can hold. */
function addLookup(
  graph: GraphBuilder,
  feature: TabularFeature,
  categories: readonly (string | number | bigint)[],
  table: CategoryTable,
): string {
  const missing = missingKeys(feature.dtype);
  const keys = keyTensor(feature.dtype, [...categories, ...missing]);
  const input = feature.dtype === 'float32' ? toDouble(graph, feature.name) : feature.name;
  return graph.node('LabelEncoder', [input], {
    domain: 'ai.onnx.ml',
    attributes: {
      keys_tensor: tensor(keys),
      values_tensor: tensor(float64Tensor([...table.values, ...missing.map(() => table.missing)])),
      default_tensor: tensor(float64Tensor([table.unknown])),
    },
  });
}

function missingKeys(dtype: Dtype): readonly (string | number)[] {
  if (dtype === 'string') return MISSING_STRINGS;
  return dtype === 'int64' ? [] : [Number.NaN];
}

function keyTensor(dtype: Dtype, keys: readonly (string | number | bigint)[]): Tensor {
  if (dtype === 'string') return stringTensor(keys.map(String));
  return dtype === 'int64'
    ? int64Tensor(keys.filter((key) => typeof key !== 'string'))
    : float64Tensor(keys.map(Number));
}

function checkFeature({ name, dtype, encoding }: TabularFeature): void {
  const wrong = (message: string) => new AssayError('INVALID_ARGUMENT', `feature "${name}": ${message}`);
  if (encoding.kind === 'number') {
    if (dtype === 'string') throw wrong('a string cannot be a number; give its categories');
    return;
  }
  if (dtype === 'bool' || dtype === 'timestamp') throw wrong(`a ${dtype} cannot be a category; take it as a number`);
  if (encoding.values.length === 0) throw wrong('it has no categories');
  const seen = new Set<string>();
  for (const value of encoding.values) {
    if (!isCategoryOf(dtype, value)) throw wrong(`${typeof value} ${String(value)} is no category of ${dtype}`);
    if (dtype === 'string' && MISSING_STRINGS.includes(String(value))) {
      throw wrong(`"${String(value)}" means a missing value and cannot be a category`);
    }
    if (seen.has(String(value))) throw wrong(`category ${String(value)} stands twice`);
    seen.add(String(value));
  }
}

function isCategoryOf(dtype: Dtype, value: string | number | bigint): boolean {
  switch (dtype) {
    case 'string':
      return typeof value === 'string';
    case 'int64':
      return typeof value === 'bigint' ? BigInt.asIntN(64, value) === value : Number.isSafeInteger(value);
    case 'float32':
      return typeof value === 'number' && Math.fround(value) === value;
    default:
      return typeof value === 'number' && Number.isFinite(value);
  }
}
