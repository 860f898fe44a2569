/** For the tests of this service: small models whose answers are known, as packages. */
import { join } from 'node:path';
import type { Signature } from '@assay/contracts';
import { type WrittenPackage, writePackage } from '@assay/model-package';
import {
  attribute,
  buildTabularModel,
  float32Tensor,
  GraphBuilder,
  int64Tensor,
  type TabularFeature,
  type TreeNode,
} from '@assay/onnx';
import { packageFromOnnx } from '@assay/scoring';

export interface MadeModel extends WrittenPackage {
  readonly dir: string;
}

const LINEAGE = { datasetSha256s: [], libraries: {}, metrics: {} };
const CREATED_AT = '2026-01-01T00:00:00Z';

/** A graph whose one output is `number`, whatever it is asked. */
export function versionGraph(number: number): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['N', 1]);
  const zero = graph.node('Mul', [x, graph.constant(float32Tensor([0]))]);
  const zeros = graph.node('Cast', [zero], { attributes: { to: attribute.elementType('int64') } });
  graph.node('Add', [zeros, graph.constant(int64Tensor([number]))], { outputs: ['version'] });
  graph.output('version', 'int64', ['N', 1]);
  return graph.build();
}

/** A model whose one output is `number`, whatever it is asked. `broken`: its golden record expects another number. */
export async function versionModel(parent: string, number: number, broken = false): Promise<MadeModel> {
  const dir = join(parent, `version-${number}${broken ? '-broken' : ''}`);
  const written = await writePackage(dir, {
    onnx: versionGraph(number),
    signature: {
      features: [{ name: 'x', dtype: 'float32', shape: [], nullable: false }],
      outputs: [{ name: 'version', dtype: 'int64', shape: [] }],
    },
    golden: {
      source: 'example',
      records: [{ x: 1 }],
      outputs: [{ version: broken ? number + 1 : number }],
      tolerance: { absolute: 0, relative: 0 },
    },
    lineage: LINEAGE,
    createdAt: CREATED_AT,
  });
  return { ...written, dir };
}

/** The features of `identityModel`; each comes back under its name and `_out`. */
export const IDENTITY: Signature = {
  features: [
    { name: 'i64', dtype: 'int64', shape: [], nullable: false },
    { name: 'f64', dtype: 'float64', shape: [], nullable: true },
    { name: 'f32', dtype: 'float32', shape: [], nullable: true },
    { name: 'text', dtype: 'string', shape: [], nullable: false },
    { name: 'flag', dtype: 'bool', shape: [], nullable: false },
    { name: 'at', dtype: 'timestamp', shape: [], nullable: false },
    { name: 'vector', dtype: 'float32', shape: [3], nullable: false },
  ],
  outputs: [
    { name: 'i64_out', dtype: 'int64', shape: [] },
    { name: 'f64_out', dtype: 'float64', shape: [] },
    { name: 'f32_out', dtype: 'float32', shape: [] },
    { name: 'text_out', dtype: 'string', shape: [] },
    { name: 'flag_out', dtype: 'bool', shape: [] },
    { name: 'at_out', dtype: 'timestamp', shape: [] },
    { name: 'vector_out', dtype: 'float32', shape: [3] },
  ],
};

/** A model that gives back what it is given, of every type. */
export async function identityModel(parent: string): Promise<MadeModel> {
  const graph = new GraphBuilder();
  const types = {
    timestamp: 'int64',
    float32: 'float32',
    float64: 'float64',
    int64: 'int64',
    string: 'string',
    bool: 'bool',
  } as const;
  for (const { name, dtype, shape } of IDENTITY.features) {
    const dims = ['N', shape[0] ?? 1];
    graph.node('Identity', [graph.input(name, types[dtype], dims)], { outputs: [`${name}_out`] });
    graph.output(`${name}_out`, types[dtype], dims);
  }
  const record = {
    i64: 7,
    f64: 0.1,
    f32: 0.5,
    text: 'é',
    flag: true,
    at: '2026-01-31T12:00:00.000001Z',
    vector: [1, 2, 3],
  };
  const dir = join(parent, 'identity');
  const written = await writePackage(dir, {
    onnx: graph.build(),
    signature: IDENTITY,
    golden: {
      source: 'example',
      records: [record],
      outputs: [Object.fromEntries(Object.entries(record).map(([name, value]) => [`${name}_out`, value]))],
      tolerance: { absolute: 0, relative: 0 },
    },
    lineage: LINEAGE,
    createdAt: CREATED_AT,
  });
  return { ...written, dir };
}

/** A model that gives back what it is given, floats all of it. */
export async function floatsModel(parent: string): Promise<MadeModel> {
  const signature: Signature = {
    features: [
      { name: 'vector', dtype: 'float32', shape: [3], nullable: false },
      { name: 'share', dtype: 'float64', shape: [], nullable: false, range: { min: 0, max: 1 } },
      { name: 'other', dtype: 'float32', shape: [], nullable: true },
    ],
    outputs: [
      { name: 'vector_out', dtype: 'float32', shape: [3] },
      { name: 'share_out', dtype: 'float64', shape: [] },
      { name: 'other_out', dtype: 'float32', shape: [] },
    ],
  };
  const graph = new GraphBuilder();
  for (const { name, dtype, shape } of signature.features) {
    const type = dtype === 'float64' ? 'float64' : 'float32';
    const dims = ['N', shape[0] ?? 1];
    graph.node('Identity', [graph.input(name, type, dims)], { outputs: [`${name}_out`] });
    graph.output(`${name}_out`, type, dims);
  }
  const dir = join(parent, 'floats');
  const written = await writePackage(dir, {
    onnx: graph.build(),
    signature,
    golden: {
      source: 'example',
      records: [{ vector: [1, 2, 3], share: 0.5, other: 4 }],
      outputs: [{ vector_out: [1, 2, 3], share_out: 0.5, other_out: 4 }],
      tolerance: { absolute: 0, relative: 0 },
    },
    lineage: LINEAGE,
    createdAt: CREATED_AT,
  });
  return { ...written, dir };
}

const AIRPORTS = ['ATL', 'DEN', 'JFK', 'LAX', 'ORD', 'SFO'];

/** Features like those of flights, of every type. */
export const FLIGHTS: Signature = {
  features: [
    { name: 'hour', dtype: 'int64', shape: [], nullable: false },
    { name: 'distance', dtype: 'float64', shape: [], nullable: true },
    { name: 'load', dtype: 'float32', shape: [], nullable: false },
    { name: 'origin', dtype: 'string', shape: [], nullable: true, values: { set: 'open', values: AIRPORTS } },
    { name: 'holiday', dtype: 'bool', shape: [], nullable: false },
  ],
  outputs: [
    { name: 'label', dtype: 'int64', shape: [] },
    { name: 'probabilities', dtype: 'float32', shape: [2] },
  ],
};

const TABULAR: readonly TabularFeature[] = FLIGHTS.features.map(({ name, dtype }) => ({
  name,
  dtype,
  encoding: dtype === 'string' ? { kind: 'category', values: AIRPORTS } : { kind: 'number' },
}));

/** Records of `FLIGHTS`, always the same ones. */
export function flightRecords(count: number): Record<string, unknown>[] {
  const random = lcg(17);
  return Array.from({ length: count }, () => ({
    hour: Math.floor(random() * 24),
    distance: random() < 0.1 ? null : random() * 3000,
    load: Math.fround(random()),
    origin: random() < 0.1 ? null : random() < 0.1 ? 'XXX' : (AIRPORTS[Math.floor(random() * AIRPORTS.length)] ?? null),
    holiday: random() < 0.3,
  }));
}

/** A hundred trees over `FLIGHTS`. */
export async function treeModel(parent: string, treeDepth = 5): Promise<MadeModel> {
  const random = lcg(3);
  const grow = (depth: number): TreeNode => {
    const cover = 2 ** depth;
    if (depth === 0) return { leaf: (random() - 0.5) / 10, cover };
    const feature = Math.floor(random() * TABULAR.length);
    const branches = { missingGoesLeft: random() < 0.5, left: grow(depth - 1), right: grow(depth - 1), cover };
    if (TABULAR[feature]?.encoding.kind === 'category') {
      return {
        feature,
        members: AIRPORTS.flatMap((_, i) => (i === 0 || random() < 0.5 ? [i] : [])),
        ...branches,
        missingGoesLeft: false,
      };
    }
    const scale = [24, 3000, 1, 1, 1][feature] ?? 1;
    return { feature, threshold: random() * scale, ...branches };
  };
  const trees = Array.from({ length: 100 }, () => grow(treeDepth));
  return tabular(parent, 'trees', buildTabularModel({ features: TABULAR, predictor: { kind: 'trees', trees } }));
}

/** A logistic regression over `FLIGHTS`. */
export async function linearModel(parent: string): Promise<MadeModel> {
  const onnx = buildTabularModel({
    features: TABULAR,
    predictor: {
      kind: 'linear',
      intercept: -0.3,
      terms: [
        { kind: 'number', mean: 12, scale: 7, weight: 0.4 },
        { kind: 'number', mean: 900, scale: 600, weight: -0.2 },
        { kind: 'number', mean: 0.5, scale: 0.3, weight: 0.7 },
        { kind: 'category', weights: AIRPORTS.map((_, i) => Math.sin(i)) },
        { kind: 'number', mean: 0.3, scale: 0.45, weight: 0.1 },
      ],
    },
  });
  return tabular(parent, 'linear', onnx);
}

/** A float32 matrix product: rows that are not padded to two get other bits alone than in company. */
export async function floatLinearModel(parent: string): Promise<MadeModel> {
  const random = lcg(5);
  const width = 30;
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['N', width]);
  graph.node('LinearClassifier', [x], {
    domain: 'ai.onnx.ml',
    attributes: {
      coefficients: attribute.floats(Array.from({ length: 2 * width }, () => random() - 0.5)),
      intercepts: attribute.floats([0.1, -0.1]),
      classlabels_ints: attribute.ints([0, 1]),
      post_transform: attribute.string('SOFTMAX'),
    },
    outputs: ['label', 'scores'],
  });
  graph.output('label', 'int64', ['N']);
  graph.output('scores', 'float32', ['N', 2]);
  const dir = join(parent, 'float-linear');
  return { ...(await packageFromOnnx(graph.build(), { dir })), dir };
}

async function tabular(parent: string, name: string, onnx: Uint8Array): Promise<MadeModel> {
  const dir = join(parent, name);
  return { ...(await packageFromOnnx(onnx, { dir, signature: FLIGHTS, examples: flightRecords(64) })), dir };
}

/** Numbers from 0 to 1 that are the same each time (Numerical Recipes' generator). */
function lcg(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A model whose answers are large: a row of one number has `width` floats of four bytes. */
export async function wideModel(parent: string, width: number): Promise<MadeModel> {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['N', 1]);
  const row = float32Tensor(
    Float32Array.from({ length: width }, (_, i) => i),
    [1, width],
  );
  graph.node('MatMul', [x, graph.constant(row)], { outputs: ['y'] });
  graph.output('y', 'float32', ['N', width]);
  const dir = join(parent, 'wide');
  return { ...(await packageFromOnnx(graph.build(), { dir, examples: [{ x: 1 }] })), dir };
}

/** A model of about a millisecond a row: products with a matrix that is made in the graph, so that the file is small. */
export async function slowModel(parent: string): Promise<MadeModel> {
  const width = 1024;
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['N', 1]);
  let hidden = graph.node('MatMul', [x, graph.constant(float32Tensor(new Float32Array(width).fill(1), [1, width]))]);
  const value = attribute.tensor(float32Tensor([1 / width]));
  const matrix = graph.node('ConstantOfShape', [graph.constant(int64Tensor([width, width]))], {
    attributes: { value },
  });
  for (let layer = 0; layer < 20; layer++) hidden = graph.node('MatMul', [hidden, matrix]);
  graph.node('ReduceMax', [hidden, graph.constant(int64Tensor([1]))], { outputs: ['y'] });
  graph.output('y', 'float32', ['N', 1]);
  const dir = join(parent, 'slow');
  return { ...(await packageFromOnnx(graph.build(), { dir, examples: [{ x: 1 }, { x: 2 }] })), dir };
}
