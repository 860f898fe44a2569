/** For the tests of this service: small models as packages, and files of rows for them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Signature } from '@assay/contracts';
import { type WrittenPackage, writePackage } from '@assay/model-package';
import { attribute, buildTabularModel, float32Tensor, GraphBuilder, type TabularFeature } from '@assay/onnx';
import { packageFromOnnx } from '@assay/scoring';

export interface MadeModel extends WrittenPackage {
  readonly dir: string;
}

const AIRPORTS = ['ATL', 'DEN', 'JFK', 'LAX', 'ORD', 'SFO'];

/** Features like those of flights. */
export const FLIGHTS: Signature = {
  features: [
    { name: 'hour', dtype: 'int64', shape: [], nullable: false, range: { min: 0, max: 23 } },
    { name: 'distance', dtype: 'float64', shape: [], nullable: true },
    { name: 'load', dtype: 'float32', shape: [], nullable: false },
    { name: 'origin', dtype: 'string', shape: [], nullable: true, values: { set: 'open', values: AIRPORTS } },
    { name: 'holiday', dtype: 'bool', shape: [], nullable: false },
  ],
  outputs: [
    { name: 'label', dtype: 'int64', shape: [] },
    { name: 'probabilities', dtype: 'float32', shape: [2], classes: ['on_time', 'late'] },
  ],
};

const TABULAR: readonly TabularFeature[] = FLIGHTS.features.map(({ name, dtype }) => ({
  name,
  dtype,
  encoding: dtype === 'string' ? { kind: 'category', values: AIRPORTS } : { kind: 'number' },
}));

/** A logistic regression over `FLIGHTS`. */
export async function flightModel(parent: string, intercept = -0.3): Promise<MadeModel> {
  const onnx = buildTabularModel({
    features: TABULAR,
    predictor: {
      kind: 'linear',
      intercept,
      terms: [
        { kind: 'number', mean: 12, scale: 7, weight: 0.4 },
        { kind: 'number', mean: 900, scale: 600, weight: -0.2 },
        { kind: 'number', mean: 0.5, scale: 0.3, weight: 0.7 },
        { kind: 'category', weights: AIRPORTS.map((_, i) => Math.sin(i)) },
        { kind: 'number', mean: 0.3, scale: 0.45, weight: 0.1 },
      ],
    },
  });
  const dir = join(parent, `flights${intercept}`);
  const examples = flightRecords(64);
  return { ...(await packageFromOnnx(onnx, { dir, signature: FLIGHTS, examples })), dir };
}

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

/** `IDENTITY` without its vector: what fits into columns. */
export const SCALARS: Signature = {
  features: IDENTITY.features.filter(({ shape }) => shape.length === 0),
  outputs: IDENTITY.outputs.filter(({ shape }) => shape.length === 0),
};

export const IDENTITY_RECORD = {
  i64: 7,
  f64: 0.1,
  f32: 0.5,
  text: 'é',
  flag: true,
  at: '2026-01-31T12:00:00.000001Z',
  vector: [1, 2, 3],
};

/** A model that gives back what it is given. */
export async function identityModel(parent: string, signature: Signature = IDENTITY): Promise<MadeModel> {
  const graph = new GraphBuilder();
  for (const { name, dtype, shape } of signature.features) {
    const type = dtype === 'timestamp' ? 'int64' : dtype;
    const dims = ['N', shape[0] ?? 1];
    graph.node('Identity', [graph.input(name, type, dims)], { outputs: [`${name}_out`] });
    graph.output(`${name}_out`, type, dims);
  }
  const taken = Object.entries(IDENTITY_RECORD).filter(([name]) => signature.features.some((f) => f.name === name));
  const dir = join(parent, `identity${signature.features.length}`);
  const written = await writePackage(dir, {
    onnx: graph.build(),
    signature,
    golden: {
      source: 'example',
      records: [Object.fromEntries(taken)],
      outputs: [Object.fromEntries(taken.map(([name, value]) => [`${name}_out`, value]))],
      tolerance: { absolute: 0, relative: 0 },
    },
    lineage: { datasetSha256s: [], libraries: {}, metrics: {} },
    createdAt: '2026-01-01T00:00:00Z',
  });
  return { ...written, dir };
}

/** A model that the runtime fails on where `index` is beyond its table of four: the signature does not say so. */
export async function tableModel(parent: string): Promise<MadeModel> {
  const graph = new GraphBuilder();
  const index = graph.input('index', 'int64', ['N', 1]);
  const table = graph.constant(float32Tensor([0.25, 0.5, 0.75, 1]));
  graph.node('Gather', [table, index], { attributes: { axis: attribute.int(0) }, outputs: ['value'] });
  graph.output('value', 'float32', ['N', 1]);
  const dir = join(parent, 'table');
  const written = await writePackage(dir, {
    onnx: graph.build(),
    signature: {
      features: [{ name: 'index', dtype: 'int64', shape: [], nullable: false }],
      outputs: [{ name: 'value', dtype: 'float32', shape: [] }],
    },
    golden: {
      source: 'example',
      records: [{ index: 0 }, { index: 3 }],
      outputs: [{ value: 0.25 }, { value: 1 }],
      tolerance: { absolute: 0, relative: 0 },
    },
    lineage: { datasetSha256s: [], libraries: {}, metrics: {} },
    createdAt: '2026-01-01T00:00:00Z',
  });
  return { ...written, dir };
}

/** Records as CSV; what is undefined or null is empty. */
export async function writeCsv(path: string, records: readonly Record<string, unknown>[]): Promise<string> {
  const names = Object.keys(records[0] ?? {});
  const lines = [names, ...records.map((record) => names.map((name) => record[name] ?? ''))];
  await writeFile(path, lines.map((cells) => `${cells.map(cellOf).join(',')}\n`).join(''));
  return path;
}

function cellOf(value: unknown): string {
  const text = String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export async function writeNdjson(path: string, records: readonly unknown[]): Promise<string> {
  await writeFile(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  return path;
}

/** Numbers from 0 to 1 that are the same each time (Numerical Recipes' generator). */
export function lcg(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
