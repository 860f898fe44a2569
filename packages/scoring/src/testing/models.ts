/** Small real graphs for the tests: each shows one way in which models differ. */
import type { Feature, Output, Signature } from '@assay/contracts';
import {
  attribute,
  float32Tensor,
  float64Tensor,
  GraphBuilder,
  int64Tensor,
  type ServedElementType,
  stringTensor,
} from '@assay/onnx';

export interface TestModel {
  readonly name: string;
  readonly onnx: Uint8Array;
  readonly signature: Signature;
}

export function feature(name: string, dtype: Feature['dtype'], more: Partial<Feature> = {}): Feature {
  return { name, dtype, shape: [], nullable: false, ...more };
}

export function output(name: string, dtype: Output['dtype'], shape: number[] = []): Output {
  return { name, dtype, shape };
}

const { float, floats, int, ints, string, strings, elementType } = attribute;
const ML = 'ai.onnx.ml';

/** Numbers between -1 and 1 that look random and are always the same. */
export function wave(count: number, seed = 1): number[] {
  return Array.from({ length: count }, (_, i) => Math.sin((i + 1) * 12.9898 * seed) * Math.cos(i * 78.233 + seed));
}

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `f${i}`);

/** Every value comes out as it went in: of each dtype one feature, so that rows can be told apart. */
export function identityModel(): TestModel {
  const graph = new GraphBuilder();
  const types = [
    ['real', 'float64'],
    ['single', 'float32'],
    ['count', 'int64'],
    ['word', 'string'],
    ['flag', 'bool'],
    ['at', 'timestamp'],
  ] as const;
  for (const [name, dtype] of types) {
    const type: ServedElementType = dtype === 'timestamp' ? 'int64' : dtype;
    graph.input(name, type, ['N', 1]);
    graph.node('Identity', [name], { outputs: [`${name}_out`] });
    graph.output(`${name}_out`, type, ['N', 1]);
  }
  return {
    name: 'identity',
    onnx: graph.build(),
    signature: {
      features: types.map(([name, dtype]) => feature(name, dtype)),
      outputs: types.map(([name, dtype]) => output(`${name}_out`, dtype)),
    },
  };
}

/** A logistic regression whose float32 kernel differs between one row and several. */
export function linearFloatModel(count = 12): TestModel {
  const graph = new GraphBuilder();
  const inputs = names(count).map((name) => graph.input(name, 'float32', ['N', 1]));
  const x = graph.node('Concat', inputs, { attributes: { axis: int(1) } });
  graph.node('LinearClassifier', [x], {
    domain: ML,
    attributes: {
      coefficients: floats([...wave(count), ...wave(count).map((w) => -w)]),
      intercepts: floats([0.1, -0.1]),
      classlabels_ints: ints([0, 1]),
      post_transform: string('LOGISTIC'),
    },
    outputs: ['label', 'probabilities'],
  });
  graph.output('label', 'int64', ['N']);
  graph.output('probabilities', 'float32', ['N', 2]);
  return {
    name: 'linear in float32',
    onnx: graph.build(),
    signature: {
      features: names(count).map((name) => feature(name, 'float32')),
      outputs: [output('label', 'int64'), { ...output('probabilities', 'float32', [2]), classes: [0, 1] }],
    },
  };
}

/** The same in doubles, by a matrix product. */
export function linearDoubleModel(count = 12): TestModel {
  const graph = new GraphBuilder();
  const inputs = names(count).map((name) => graph.input(name, 'float64', ['N', 1]));
  const x = graph.node('Concat', inputs, { attributes: { axis: int(1) } });
  const weights = graph.constant(float64Tensor(wave(count), [count, 1]));
  const score = graph.node('Add', [graph.node('MatMul', [x, weights]), graph.constant(float64Tensor([0.25], [1]))]);
  graph.node('Sigmoid', [score], { outputs: ['probability'] });
  graph.output('probability', 'float64', ['N', 1]);
  return {
    name: 'linear in float64',
    onnx: graph.build(),
    signature: {
      features: names(count).map((name) => feature(name, 'float64')),
      outputs: [output('probability', 'float64')],
    },
  };
}

/** A forest of complete trees over float32 numbers and one category. */
export function treeModel(trees = 20, depth = 4): TestModel {
  const count = 8;
  const graph = new GraphBuilder({ opsets: { '': 21, [ML]: 3 } }); // the last with TreeEnsembleRegressor
  const inputs = names(count).map((name) => graph.input(name, 'float32', ['N', 1]));
  graph.input('carrier', 'string', ['N', 1]);
  const code = graph.node('LabelEncoder', ['carrier'], {
    domain: ML,
    attributes: {
      keys_strings: strings(['AA', 'UA', 'DL']),
      values_floats: floats([1, 2, 3]),
      default_float: float(-1),
    },
  });
  const x = graph.node('Concat', [...inputs, code], { attributes: { axis: int(1) } });
  const nodes = {
    tree: [] as number[],
    id: [] as number[],
    feature: [] as number[],
    value: [] as number[],
    mode: [] as string[],
    yes: [] as number[],
    no: [] as number[],
  };
  const leaves = { tree: [] as number[], id: [] as number[], weight: [] as number[] };
  const inner = 2 ** depth - 1;
  for (let tree = 0; tree < trees; tree++) {
    for (let id = 0; id < 2 * inner + 1; id++) {
      const isLeaf = id >= inner;
      nodes.tree.push(tree);
      nodes.id.push(id);
      nodes.feature.push(isLeaf ? 0 : (tree * 5 + id * 3) % (count + 1));
      nodes.value.push(isLeaf ? 0 : Math.sin(tree * 31 + id * 7) * 2);
      nodes.mode.push(isLeaf ? 'LEAF' : 'BRANCH_LEQ');
      nodes.yes.push(isLeaf ? 0 : 2 * id + 1);
      nodes.no.push(isLeaf ? 0 : 2 * id + 2);
      if (isLeaf) {
        leaves.tree.push(tree);
        leaves.id.push(id);
        leaves.weight.push(Math.cos(tree * 17 + id) / trees);
      }
    }
  }
  const raw = graph.node('TreeEnsembleRegressor', [x], {
    domain: ML,
    attributes: {
      nodes_treeids: ints(nodes.tree),
      nodes_nodeids: ints(nodes.id),
      nodes_featureids: ints(nodes.feature),
      nodes_values: floats(nodes.value),
      nodes_modes: strings(nodes.mode),
      nodes_truenodeids: ints(nodes.yes),
      nodes_falsenodeids: ints(nodes.no),
      target_treeids: ints(leaves.tree),
      target_nodeids: ints(leaves.id),
      target_ids: ints(leaves.id.map(() => 0)),
      target_weights: floats(leaves.weight),
      n_targets: int(1),
      post_transform: string('NONE'),
    },
  });
  graph.node('Sigmoid', [raw], { outputs: ['probability'] });
  graph.output('probability', 'float32', ['N', 1]);
  return {
    name: 'trees',
    onnx: graph.build(),
    signature: {
      features: [
        ...names(count).map((name) => feature(name, 'float32', { nullable: true })),
        feature('carrier', 'string', { values: { set: 'open', values: ['AA', 'UA', 'DL'] } }),
      ],
      outputs: [output('probability', 'float32')],
    },
  };
}

/** A small network that takes one matrix, as frameworks export it. */
export function matrixMlpModel(count = 10, hidden = 16): TestModel {
  const graph = new GraphBuilder();
  graph.input('x', 'float32', ['batch', count]);
  const dense = (from: string, rows: number, columns: number, seed: number) =>
    graph.node('Gemm', [
      from,
      graph.constant(float32Tensor(wave(rows * columns, seed), [rows, columns])),
      graph.constant(float32Tensor(wave(columns, seed + 1), [columns])),
    ]);
  const h = graph.node('Relu', [dense('x', count, hidden, 3)]);
  graph.node('Softmax', [dense(h, hidden, 3, 5)], { attributes: { axis: int(1) }, outputs: ['probabilities'] });
  graph.output('probabilities', 'float32', ['batch', 3]);
  return {
    name: 'network with one matrix',
    onnx: graph.build(),
    signature: {
      features: [feature('x', 'float32', { shape: [count] })],
      outputs: [output('probabilities', 'float32', [3])],
    },
  };
}

/** A logarithm: the vectorized loop and its tail round differently, so rows must come in fours. */
export function logModel(): TestModel {
  const graph = new GraphBuilder();
  graph.input('x', 'float32', ['N', 1]);
  graph.node('Log', ['x'], { outputs: ['y'] });
  graph.output('y', 'float32', ['N', 1]);
  return {
    name: 'logarithm',
    onnx: graph.build(),
    signature: { features: [feature('x', 'float32', { range: { min: 0.001 } })], outputs: [output('y', 'float32')] },
  };
}

/** A sum along the row, whose kernel looks at the address of the row: rows must be run one by one. */
export function rowSumModel(count = 33): TestModel {
  const graph = new GraphBuilder();
  graph.input('x', 'float32', ['N', count]);
  graph.node('ReduceSum', ['x', graph.constant(int64Tensor([1]))], {
    attributes: { keepdims: int(1) },
    outputs: ['y'],
  });
  graph.output('y', 'float32', ['N', 1]);
  return {
    name: 'sum of a row',
    onnx: graph.build(),
    signature: { features: [feature('x', 'float32', { shape: [count] })], outputs: [output('y', 'float32')] },
  };
}

/** Subtracts the mean of the batch: no row is on its own here, however it is batched. */
export function rowMixingModel(): TestModel {
  const graph = new GraphBuilder();
  graph.input('x', 'float32', ['N', 1]);
  const mean = graph.node('ReduceMean', ['x', graph.constant(int64Tensor([0]))], { attributes: { keepdims: int(1) } });
  graph.node('Sub', ['x', mean], { outputs: ['y'] });
  graph.output('y', 'float32', ['N', 1]);
  return {
    name: 'rows mixed',
    onnx: graph.build(),
    signature: { features: [feature('x', 'float32')], outputs: [output('y', 'float32')] },
  };
}

/** Other noise at each run. */
export function randomModel(): TestModel {
  const graph = new GraphBuilder();
  graph.input('x', 'float32', ['N', 1]);
  const noise = graph.node('RandomNormalLike', ['x']);
  graph.node('Add', ['x', noise], { outputs: ['y'] });
  graph.output('y', 'float32', ['N', 1]);
  return {
    name: 'random',
    onnx: graph.build(),
    signature: { features: [feature('x', 'float32')], outputs: [output('y', 'float32')] },
  };
}

/** Looks an index up in a table of three: a larger one is allowed by the signature and fails in the graph. */
export function lookupModel(): TestModel {
  const graph = new GraphBuilder();
  graph.input('index', 'int64', ['N', 1]);
  const table = graph.constant(stringTensor(['zero', 'one', 'two']));
  graph.node('Gather', [table, 'index'], { outputs: ['word'] });
  graph.output('word', 'string', ['N', 1]);
  return {
    name: 'lookup',
    onnx: graph.build(),
    signature: { features: [feature('index', 'int64')], outputs: [output('word', 'string')] },
  };
}

/** Takes exactly one row a run, as exporters make it that were told no dynamic axes. */
export function oneRowModel(): TestModel {
  const graph = new GraphBuilder();
  graph.input('x', 'float32', [1, 4]);
  graph.node('Relu', ['x'], { outputs: ['y'] });
  graph.output('y', 'float32', [1, 4]);
  return {
    name: 'one row',
    onnx: graph.build(),
    signature: { features: [feature('x', 'float32', { shape: [4] })], outputs: [output('y', 'float32', [4])] },
  };
}

/** Features under the names given, each passed through; of one dtype. */
export function passThroughModel(
  features: readonly string[],
  dtype: 'float64' | 'string' | 'int64' = 'float64',
): TestModel {
  const graph = new GraphBuilder();
  for (const name of features) graph.input(name, dtype, ['N', 1]);
  const outputs = features.map((name, i) => {
    graph.node('Identity', [name], { outputs: [`out ${i}`] });
    graph.output(`out ${i}`, dtype, ['N', 1]);
    return output(`out ${i}`, dtype);
  });
  return {
    name: 'pass through',
    onnx: graph.build(),
    signature: { features: features.map((name) => feature(name, dtype)), outputs },
  };
}

/** A nullable integer is a double in the graph. */
export function nullableIntegerModel(): TestModel {
  const graph = new GraphBuilder();
  graph.input('stops', 'float64', ['N', 1]);
  graph.input('small', 'int32', ['N', 1]);
  graph.node('Identity', ['stops'], { outputs: ['stops_out'] });
  graph.node('Cast', ['small'], { attributes: { to: elementType('int64') }, outputs: ['small_out'] });
  graph.output('stops_out', 'float64', ['N', 1]);
  graph.output('small_out', 'int64', ['N', 1]);
  return {
    name: 'nullable integer',
    onnx: graph.build(),
    signature: {
      features: [feature('stops', 'int64', { nullable: true }), feature('small', 'int64')],
      outputs: [output('stops_out', 'float64'), output('small_out', 'int64')],
    },
  };
}
