/** For the tests of the whole: small models of every kind, as packages to register. */
import { join } from 'node:path';
import type { Signature } from '@assay/contracts';
import { writePackage } from '@assay/model-package';
import { attribute, buildTabularModel, float32Tensor, GraphBuilder, type TabularFeature } from '@assay/onnx';
import { packageFromOnnx } from '@assay/scoring';

/** Features of several types, for trees and for a linear model. */
export const FLIGHTS: Signature = {
  features: [
    { name: 'hour', dtype: 'int64', shape: [], nullable: false },
    { name: 'distance', dtype: 'float64', shape: [], nullable: true },
    { name: 'load', dtype: 'float32', shape: [], nullable: false },
  ],
  outputs: [
    { name: 'label', dtype: 'int64', shape: [] },
    { name: 'probabilities', dtype: 'float32', shape: [2] },
  ],
};

/** Records of `FLIGHTS`, always the same ones. */
export function flights(count: number): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, i) => ({
    hour: (i * 7) % 24,
    distance: i % 9 === 0 ? null : Math.abs(Math.sin(i)) * 3000,
    load: Math.abs(Math.cos(i)),
  }));
}

const TABULAR: readonly TabularFeature[] = FLIGHTS.features.map(({ name, dtype }) => ({
  name,
  dtype,
  encoding: { kind: 'number' },
}));

export async function treeModel(parent: string): Promise<string> {
  const trees = Array.from({ length: 60 }, (_, i) => ({
    feature: i % 3,
    threshold: [12, 900, 0.5][i % 3] ?? 0,
    missingGoesLeft: i % 2 === 0,
    left: { leaf: Math.sin(i) / 10 },
    right: {
      feature: (i + 1) % 3,
      threshold: i * 10,
      missingGoesLeft: true,
      left: { leaf: 0.01 * i },
      right: { leaf: -0.3 },
    },
  }));
  return tabular(parent, 'trees', buildTabularModel({ features: TABULAR, predictor: { kind: 'trees', trees } }));
}

export async function linearModel(parent: string): Promise<string> {
  const onnx = buildTabularModel({
    features: TABULAR,
    predictor: {
      kind: 'linear',
      intercept: -0.3,
      terms: [
        { kind: 'number', mean: 12, scale: 7, weight: 0.4 },
        { kind: 'number', mean: 900, scale: 600, weight: -0.2 },
        { kind: 'number', mean: 0.5, scale: 0.3, weight: 0.7 },
      ],
    },
  });
  return tabular(parent, 'linear', onnx);
}

async function tabular(parent: string, name: string, onnx: Uint8Array): Promise<string> {
  const dir = join(parent, name);
  await packageFromOnnx(onnx, { dir, signature: FLIGHTS, examples: flights(64) });
  return dir;
}

/** Gives back an int64 and an instant as they come, and 0 / x: NaN, infinite or negative zero as x wants it. */
export async function exactModel(parent: string): Promise<string> {
  const graph = new GraphBuilder();
  graph.node('Identity', [graph.input('big', 'int64', ['N', 1])], { outputs: ['big_out'] });
  graph.node('Identity', [graph.input('at', 'int64', ['N', 1])], { outputs: ['at_out'] });
  const x = graph.input('x', 'float32', ['N', 1]);
  graph.node('Div', [graph.constant(float32Tensor([0])), x], { outputs: ['zero_by_x'] });
  graph.node('Div', [graph.constant(float32Tensor([1])), x], { outputs: ['one_by_x'] });
  graph.output('big_out', 'int64', ['N', 1]);
  graph.output('at_out', 'int64', ['N', 1]);
  graph.output('zero_by_x', 'float32', ['N', 1]);
  graph.output('one_by_x', 'float32', ['N', 1]);
  const dir = join(parent, 'exact');
  await writePackage(dir, {
    onnx: graph.build(),
    signature: {
      features: [
        { name: 'big', dtype: 'int64', shape: [], nullable: false },
        { name: 'at', dtype: 'timestamp', shape: [], nullable: false },
        { name: 'x', dtype: 'float32', shape: [], nullable: false },
      ],
      outputs: [
        { name: 'big_out', dtype: 'int64', shape: [] },
        { name: 'at_out', dtype: 'timestamp', shape: [] },
        { name: 'zero_by_x', dtype: 'float32', shape: [] },
        { name: 'one_by_x', dtype: 'float32', shape: [] },
      ],
    },
    golden: {
      source: 'example',
      records: [{ big: 1, at: '2026-01-31T12:00:00Z', x: 1 }],
      outputs: [{ big_out: 1, at_out: '2026-01-31T12:00:00Z', zero_by_x: 0, one_by_x: 1 }],
      tolerance: { absolute: 0, relative: 0 },
    },
    lineage: { datasetSha256s: [], libraries: {}, metrics: {} },
    createdAt: '2026-01-01T00:00:00Z',
  });
  return dir;
}

/** A product of float32s whose rows get other bits alone than in company, unless they are padded. */
export async function floatLinearModel(parent: string): Promise<string> {
  const width = 30;
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['N', width]);
  graph.node('LinearClassifier', [x], {
    domain: 'ai.onnx.ml',
    attributes: {
      coefficients: attribute.floats(Array.from({ length: 2 * width }, (_, i) => Math.sin(i))),
      intercepts: attribute.floats([0.1, -0.1]),
      classlabels_ints: attribute.ints([0, 1]),
      post_transform: attribute.string('SOFTMAX'),
    },
    outputs: ['label', 'scores'],
  });
  graph.output('label', 'int64', ['N']);
  graph.output('scores', 'float32', ['N', 2]);
  const dir = join(parent, 'float-linear');
  await packageFromOnnx(graph.build(), { dir });
  return dir;
}
