import { describe, expect, it } from 'vitest';
import { SERVED_ELEMENT_TYPES, type ServedElementType } from './element-types.ts';
import { GraphBuilder, type GraphOptions } from './graph-builder.ts';
import { inspect } from './inspect.ts';
import { type Dimension, writeModel } from './model.ts';
import { type Packing, packInputs } from './pack-inputs.ts';
import { textField } from './protobuf.ts';
import { readModel } from './read-model.ts';
import { GRAPH } from './schema.ts';
import type { TabularFeature } from './tabular-features.ts';
import { buildTabularModel } from './tabular-model.ts';
import { float32Tensor } from './tensors.ts';
import { extended, nodeOf, nodeWithGraphs, tensorType, valueInfo } from './testing/foreign-models.ts';
import { bitsOf, type Column, type Feed, feed, type LoadedGraph, loadGraph, rowsOf } from './testing/run-graph.ts';
import type { TreeNode } from './trees.ts';

interface Input {
  readonly name: string;
  readonly type: ServedElementType;
  readonly dims: readonly Dimension[];
}

/** A graph that gives each input back under another name. */
function mirror(inputs: readonly Input[], options: GraphOptions = {}): Uint8Array {
  const graph = new GraphBuilder(options);
  for (const { name, type, dims } of inputs) graph.input(name, type, dims);
  for (const { name, type, dims } of inputs) {
    graph.node('Identity', [name], { outputs: [`${name} out`] });
    graph.output(`${name} out`, type, dims);
  }
  return graph.build();
}

/** Lays the feeds of the original inputs out as the packed graph takes them: what an encoder does. */
function pack(packing: Packing, feeds: Readonly<Record<string, Feed>>): Record<string, Feed> {
  const packed: Record<string, Feed> = {};
  for (const { name } of packing.left) if (feeds[name] !== undefined) packed[name] = feeds[name];
  for (const { name, elementType, width, columns } of packing.inputs) {
    const rows = feeds[columns[0]?.name ?? '']?.dims[0] ?? 0;
    const cells = new Array<unknown>(rows * width);
    for (const column of columns) {
      const data = feeds[column.name]?.column.data ?? [];
      for (let row = 0; row < rows; row++) {
        for (let k = 0; k < column.width; k++) {
          cells[row * width + column.offset + k] = data[row * column.width + k];
        }
      }
    }
    packed[name] = { column: columnOf(elementType, cells), dims: [rows, width] };
  }
  return packed;
}

function columnOf(type: ServedElementType, cells: readonly unknown[]): Column {
  switch (type) {
    case 'string':
      return { type, data: cells.map(String) };
    case 'int64':
      return { type, data: BigInt64Array.from(cells, (cell) => BigInt(cell as bigint)) }; // an int64 column holds bigints
    case 'float32':
      return { type, data: Float32Array.from(cells, Number) };
    case 'float64':
      return { type, data: Float64Array.from(cells, Number) };
    case 'uint64':
      return { type, data: BigUint64Array.from(cells, (cell) => BigInt(cell as bigint)) }; // and so does a uint64 column
    case 'int32':
      return { type, data: Int32Array.from(cells, Number) };
    case 'int16':
      return { type, data: Int16Array.from(cells, Number) };
    case 'int8':
      return { type, data: Int8Array.from(cells, Number) };
    case 'uint32':
      return { type, data: Uint32Array.from(cells, Number) };
    case 'uint16':
      return { type, data: Uint16Array.from(cells, Number) };
    case 'uint8':
    case 'bool':
      return { type, data: Uint8Array.from(cells, Number) };
  }
}

const SPECIAL = [
  0,
  -0,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  1e-45,
  3.4e38,
  0.1,
  5e-324,
  1e300,
];
const INTEGERS = [0n, -1n, 2n ** 53n + 1n, -(2n ** 63n), 2n ** 63n - 1n];

function cellsOf(type: ServedElementType, count: number, seed: number): readonly unknown[] {
  return Array.from({ length: count }, (_, i) => {
    const n = Math.imul(i + 1, 2654435761) ^ (seed * 97);
    if (type === 'int64') return (INTEGERS[i % 7] ?? 0n) + (i % 7 < 5 ? 0n : BigInt(n) * 4_000_000_007n);
    if (type === 'string') return i % 5 === 0 ? '' : `text ${n} ü`;
    if (type === 'bool') return (n >>> 3) & 1;
    if (type === 'uint64') return BigInt.asUintN(64, BigInt(n) * 4_000_000_007n);
    return type === 'float32' || type === 'float64' ? (SPECIAL[i % 23] ?? n / 7.3) : n; // typed arrays wrap integers
  });
}

function feedsFor(inputs: readonly Input[], rows: number): Record<string, Feed> {
  return Object.fromEntries(
    inputs.map(({ name, type, dims }, i): [string, Feed] => {
      const rest = dims.slice(1).map(Number);
      const count = rest.reduce((product, dimension) => product * dimension, rows);
      return [name, { column: columnOf(type, cellsOf(type, count, i)), dims: [rows, ...rest] }];
    }),
  );
}

async function expectSameBits(
  original: LoadedGraph,
  packed: LoadedGraph,
  packing: Packing,
  feeds: Record<string, Feed>,
) {
  const before = await original.run(feeds);
  const after = await packed.run(pack(packing, feeds));
  expect(Object.keys(after).sort()).toEqual(Object.keys(before).sort());
  for (const [name, output] of Object.entries(before)) {
    expect(after[name]?.dims).toEqual(output.dims);
    expect(bitsOf(after[name]?.data ?? [])).toEqual(bitsOf(output.data));
  }
}

/** Scalars as [N, 1] and as [N], and a vector; of every type twice or more. */
const EVERY_SHAPE: readonly Input[] = SERVED_ELEMENT_TYPES.flatMap((type): Input[] => [
  { name: `${type} a`, type, dims: ['N', 1] },
  { name: `${type} b`, type, dims: ['N', 3] },
  { name: `${type} c`, type, dims: ['N'] },
]);

describe('packing inputs by type', () => {
  it.each([7, 10, 11, 12, 13, 17, 18, 21, 22])(
    'keeps every bit of every type and shape on thousands of rows, at opset %i',
    async (opset) => {
      const bytes = mirror(EVERY_SHAPE, { opsets: { '': opset }, irVersion: opset < 13 ? 3 : 8 });
      const packing = packInputs(readModel(bytes));
      expect(packing.left).toEqual([]);
      expect(packing.inputs.map(({ name, width }) => [name, width])).toEqual(
        SERVED_ELEMENT_TYPES.filter((type) => type !== 'float32').map((type) => [
          `packed_${type}`,
          type === 'float64' ? 10 : 5,
        ]),
      );
      const original = await loadGraph(bytes);
      const packed = await loadGraph(writeModel(packing.model));
      await expectSameBits(original, packed, packing, feedsFor(EVERY_SHAPE, 3000));
      await expectSameBits(original, packed, packing, feedsFor(EVERY_SHAPE, 1));
    },
  );

  it('keeps every bit of a tree model of thirty features on 10,000 rows, at several batch sizes', async () => {
    const features: TabularFeature[] = Array.from({ length: 30 }, (_, i) => {
      if (i % 3 === 1)
        return { name: `f${i}`, dtype: 'string', encoding: { kind: 'category', values: ['a', 'b', `c${i}`] } };
      return {
        name: `f${i}`,
        dtype: i % 3 === 0 ? 'float64' : i % 2 === 0 ? 'float32' : 'int64',
        encoding: { kind: 'number' },
      };
    });
    const tree = (depth: number, feature: number): TreeNode => {
      if (depth === 0) return { leaf: Math.sin(feature) };
      const [left, right] = [tree(depth - 1, feature * 2 + 1), tree(depth - 1, feature * 2 + 2)];
      const at = feature % 30;
      const split = { feature: at, missingGoesLeft: feature % 2 === 0, left, right };
      return at % 3 === 1 ? { ...split, members: [feature % 3] } : { ...split, threshold: feature * 1e5 - 1e6 };
    };
    const trees = Array.from({ length: 40 }, (_, i) => tree(5, i));
    const bytes = buildTabularModel({ features, predictor: { kind: 'trees', trees }, withRawScore: true });
    const packing = packInputs(readModel(bytes));
    expect(packing.inputs.map(({ elementType, width }) => [elementType, width])).toEqual([
      ['float64', 15],
      ['string', 10],
      ['int64', 5],
    ]);
    expect(packing.left).toEqual([]);
    const inputs: Input[] = features.map(({ name, dtype }) => ({
      name,
      type: dtype === 'timestamp' ? 'int64' : dtype,
      dims: ['N', 1],
    }));
    const feeds = feedsFor(inputs, 10_000);
    const original = await loadGraph(bytes);
    const packed = await loadGraph(writeModel(packing.model));
    await expectSameBits(original, packed, packing, feeds);
    for (const [from, to] of [
      [0, 1],
      [17, 24],
      [100, 164],
    ] as const) {
      const part = Object.fromEntries(Object.entries(feeds).map(([name, f]) => [name, rowsOf(f, from, to)]));
      await expectSameBits(original, packed, packing, part);
    }
  });

  it('says where every input went: double columns first, then float32, each in the order of the inputs', () => {
    const packing = packInputs(
      readModel(
        mirror([
          { name: 'a', type: 'float32', dims: ['N', 1] },
          { name: 'b', type: 'float64', dims: ['N', 4] },
          { name: 'c', type: 'int64', dims: ['N'] },
          { name: 'd', type: 'float32', dims: ['N', 2] },
          { name: 'e', type: 'int64', dims: [null, 1] },
        ]),
      ),
    );
    expect(packing.columns).toEqual([
      { name: 'b', elementType: 'float64', input: 'packed_float64', offset: 0, width: 4 },
      { name: 'a', elementType: 'float32', input: 'packed_float64', offset: 4, width: 1 },
      { name: 'd', elementType: 'float32', input: 'packed_float64', offset: 5, width: 2 },
      { name: 'c', elementType: 'int64', input: 'packed_int64', offset: 0, width: 1 },
      { name: 'e', elementType: 'int64', input: 'packed_int64', offset: 1, width: 1 },
    ]);
    expect(inspect(packing.model).inputs.map(({ name, elementType, dims }) => [name, elementType, dims])).toEqual([
      ['packed_float64', 'float64', ['N', 7]],
      ['packed_int64', 'int64', ['N', 2]],
    ]);
  });

  it('packs one float64 and one float32 together', async () => {
    const inputs: Input[] = [
      { name: 'narrow', type: 'float32', dims: ['N', 1] },
      { name: 'wide', type: 'float64', dims: ['N'] },
    ];
    const bytes = mirror(inputs);
    const packing = packInputs(readModel(bytes));
    expect(packing.columns.map(({ name, offset }) => [name, offset])).toEqual([
      ['wide', 0],
      ['narrow', 1],
    ]);
    const [original, packed] = [await loadGraph(bytes), await loadGraph(writeModel(packing.model))];
    await expectSameBits(original, packed, packing, feedsFor(inputs, 500));
  });

  it('packs float32 for itself when there is no float64', () => {
    const inputs = ['a', 'b'].map((name): Input => ({ name, type: 'float32', dims: ['N', 1] }));
    expect(packInputs(readModel(mirror(inputs))).inputs.map(({ elementType }) => elementType)).toEqual(['float32']);
  });

  it('leaves what cannot be packed as it is, says why, and the rest still runs', async () => {
    const inputs: Input[] = [
      { name: 'x', type: 'float64', dims: ['N', 1] },
      { name: 'y', type: 'float64', dims: ['N', 1] },
      { name: 'image', type: 'float64', dims: ['N', 2, 2] },
      { name: 'open', type: 'float64', dims: ['N', 'K'] },
      { name: 'table', type: 'float64', dims: ['M', 1] },
      { name: 'fixed', type: 'float64', dims: [1, 1] },
      { name: 'scalar', type: 'float64', dims: [] },
      { name: 'alone', type: 'string', dims: ['N', 1] },
      { name: 'empty', type: 'float64', dims: ['N', 0] },
    ];
    const bytes = mirror(inputs);
    const packing = packInputs(readModel(bytes));
    expect(packing.columns.map(({ name }) => name)).toEqual(['x', 'y']);
    expect(Object.fromEntries(packing.left.map(({ name, reason }) => [name, reason]))).toEqual({
      image: 'it has 3 dimensions',
      open: 'its second dimension is open',
      table: 'its first dimension is M, that of others N',
      fixed: 'its first dimension is 1, that of others N',
      scalar: 'it is a scalar for the whole batch',
      empty: 'it has no columns',
      alone: 'it is the only input of type string',
    });
    const feeds: Record<string, Feed> = {
      ...feedsFor(
        inputs.filter(({ name }) => ['x', 'y', 'image', 'alone', 'empty'].includes(name)),
        4,
      ),
      open: { column: { type: 'float64', data: Float64Array.of(1, 2, 3, 4) }, dims: [4, 1] },
      table: { column: { type: 'float64', data: Float64Array.of(1, 2) }, dims: [2, 1] },
      fixed: { column: { type: 'float64', data: Float64Array.of(1) }, dims: [1, 1] },
      scalar: { column: { type: 'float64', data: Float64Array.of(1) }, dims: [] },
    };
    await expectSameBits(await loadGraph(bytes), await loadGraph(writeModel(packing.model)), packing, feeds);
  });

  it('leaves an input that has a default, a rank that is open, and types that are not served', () => {
    const graph = new GraphBuilder();
    graph.input('x', 'float16', ['N', 1]);
    graph.output('x', 'float16', ['N', 1]);
    graph.constant(float32Tensor([1], [1, 1]), 'with default');
    const model = extended(
      graph.build(),
      valueInfo('input', 'with default', tensorType('float32', [1, 1])),
      valueInfo('input', 'any rank', tensorType('float32')),
    );
    const packing = packInputs(model);
    expect(packing.model).toBe(model);
    expect(packing.inputs).toEqual([]);
    expect(packing.left).toEqual([
      { name: 'x', reason: 'its element type float16 is not served' },
      { name: 'with default', reason: 'it has a default' },
      { name: 'any rank', reason: 'its rank is open' },
    ]);
  });

  it('packs a model of a fixed batch size for that size', () => {
    const inputs = ['a', 'b'].map((name): Input => ({ name, type: 'int64', dims: [8, 1] }));
    const packing = packInputs(readModel(mirror(inputs)));
    expect(inspect(packing.model).inputs[0]?.dims).toEqual([8, 2]);
  });

  it('meets no name that the model has, in nested graphs neither, and serves inputs that only those use', async () => {
    const graph = new GraphBuilder();
    for (const name of ['a', 'packed_float64']) graph.input(name, 'float64', ['N', 1]);
    const flag = graph.input('flag', 'bool', []);
    graph.node('Add', ['packed_float64', 'packed_float64'], { outputs: ['sum'] });
    graph.output('sum', 'float64', ['N', 1]);
    const branch = (operator: string) => [
      nodeOf({ opType: operator, inputs: ['a'], outputs: ['packed_float64_1'] }),
      textField(GRAPH.name, operator),
      valueInfo('output', 'packed_float64_1', tensorType('float64', ['N', 1])),
    ];
    const model = extended(
      graph.build(),
      nodeWithGraphs(
        { opType: 'If', inputs: [flag], outputs: ['chosen'] },
        { then_branch: branch('Neg'), else_branch: branch('Abs') },
      ),
      valueInfo('output', 'chosen', tensorType('float64', ['N', 1])),
    );
    const packing = packInputs(model);
    expect(packing.inputs.map(({ name }) => name)).toEqual(['packed_float64_2']);
    const feeds: Record<string, Feed> = {
      a: feed({ type: 'float64', data: Float64Array.of(1, -2) }),
      packed_float64: feed({ type: 'float64', data: Float64Array.of(3, 4) }),
      flag: { column: { type: 'bool', data: Uint8Array.of(1) }, dims: [] },
    };
    await expectSameBits(
      await loadGraph(writeModel(model)),
      await loadGraph(writeModel(packing.model)),
      packing,
      feeds,
    );
  });

  it('gives the same bytes each time, and nothing to do when it is done twice', () => {
    const bytes = mirror(EVERY_SHAPE);
    const first = packInputs(readModel(bytes));
    expect(writeModel(packInputs(readModel(bytes)).model)).toEqual(writeModel(first.model));
    const second = packInputs(first.model);
    expect(second.model).toBe(first.model);
  });
});
