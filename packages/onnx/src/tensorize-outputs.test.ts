import { describe, expect, it } from 'vitest';
import { floats, ints, strings } from './attributes.ts';
import { GraphBuilder } from './graph-builder.ts';
import { inspect } from './inspect.ts';
import { type OnnxModel, writeModel } from './model.ts';
import { readModel } from './read-model.ts';
import { tensorizeOutputs } from './tensorize-outputs.ts';
import { extended, mapType, nodeOf, optionalOf, sequenceOf, tensorType, valueInfo } from './testing/foreign-models.ts';
import { loadGraph } from './testing/run-graph.ts';
import { SKLEARN_CLASSIFIER, SKLEARN_PROBABILITIES, SKLEARN_ROWS } from './testing/sklearn-classifier.ts';

/** x → Scaler → ZipMap, as scikit-learn's converter ends a classifier. */
function withZipMap(labels: 'classlabels_strings' | 'classlabels_int64s', opsets?: Record<string, number>): OnnxModel {
  const graph = new GraphBuilder(opsets === undefined ? {} : { opsets });
  graph.input('x', 'float32', ['batch', 3]);
  graph.node('Scaler', ['x'], {
    domain: 'ai.onnx.ml',
    attributes: { scale: floats([1]), offset: floats([0]) },
    outputs: ['probabilities'],
  });
  graph.output('probabilities', 'float32', ['batch', 3]);
  const attribute = labels === 'classlabels_strings' ? strings(['a', 'b', 'ü']) : ints([2n ** 53n + 1n, -1, 0]);
  return extended(
    graph.build(),
    nodeOf({
      opType: 'ZipMap',
      domain: 'ai.onnx.ml',
      inputs: ['probabilities'],
      outputs: ['output_probability'],
      attributes: { [labels]: attribute },
    }),
    valueInfo(
      'output',
      'output_probability',
      sequenceOf(mapType(labels === 'classlabels_strings' ? 'string' : 'int64')),
    ),
  );
}

const X = { column: { type: 'float32', data: Float32Array.of(0.1, 0.2, 0.7, 1, 0, 0) }, dims: [2, 3] } as const;

describe('outputs that are no tensors', () => {
  it('become the probabilities where a ZipMap was, and its classes are kept', async () => {
    const model = withZipMap('classlabels_strings');
    expect(inspect(model).problems).toEqual([
      'output "output_probability" is of kind sequence; only tensors are served',
    ]);
    const tensorized = tensorizeOutputs(model);
    expect(tensorized.rewrites).toEqual([{ kind: 'classes', output: 'output_probability', classes: ['a', 'b', 'ü'] }]);
    expect(inspect(tensorized.model).problems).toEqual([]);
    expect(inspect(tensorized.model).outputs.at(-1)).toEqual({
      name: 'output_probability',
      kind: 'tensor',
      elementType: 'float32',
      dims: ['batch', 3],
    });
    const outputs = await (await loadGraph(writeModel(tensorized.model))).run({ x: X });
    expect(outputs.output_probability).toEqual({ dims: [2, 3], data: X.column.data });
  });

  it('of a classifier that scikit-learn trained give the probabilities of scikit-learn', async () => {
    const { model, rewrites } = tensorizeOutputs(readModel(SKLEARN_CLASSIFIER));
    expect(rewrites).toEqual([
      { kind: 'classes', output: 'output_probability', classes: ['early', 'late', 'on time'] },
    ]);
    expect(inspect(model).problems).toEqual([]);
    const rows = Float32Array.from(SKLEARN_ROWS);
    const outputs = await (await loadGraph(writeModel(model))).run({
      x: { column: { type: 'float32', data: rows }, dims: [3, 3] },
    });
    expect(outputs.output_label?.data).toEqual(['on time', 'late', 'early']);
    const given = [...(outputs.output_probability?.data ?? [])].map(Number);
    expect(given).toHaveLength(9);
    for (const [i, expected] of SKLEARN_PROBABILITIES.flat().entries()) expect(given[i]).toBeCloseTo(expected, 6);
  });

  it('keep integer classes exact', () => {
    expect(tensorizeOutputs(withZipMap('classlabels_int64s')).rewrites).toEqual([
      { kind: 'classes', output: 'output_probability', classes: [2n ** 53n + 1n, -1n, 0n] },
    ]);
  });

  it('are rewritten in a model that imports no operators of ai.onnx', async () => {
    const tensorized = tensorizeOutputs(withZipMap('classlabels_strings', { 'ai.onnx.ml': 3 }));
    expect(tensorized.model.opsets).toContainEqual({ domain: '', version: 17 });
    const outputs = await (await loadGraph(writeModel(tensorized.model))).run({ x: X });
    expect(outputs.output_probability?.data).toEqual(X.column.data);
  });

  it('become one output each where a SequenceConstruct was, under names that are free', async () => {
    const graph = new GraphBuilder();
    graph.input('x', 'float32', ['batch', 3]);
    graph.node('Neg', ['x'], { outputs: ['pair_0'] });
    graph.output('pair_0', 'float32', ['batch', 3]);
    const model = extended(
      graph.build(),
      nodeOf({ opType: 'SequenceConstruct', inputs: ['x', 'pair_0'], outputs: ['pair'] }),
      valueInfo('output', 'pair', sequenceOf(tensorType('float32'))),
    );
    const tensorized = tensorizeOutputs(model);
    expect(tensorized.rewrites).toEqual([{ kind: 'split', output: 'pair', into: ['pair_0_1', 'pair_1'] }]);
    expect(inspect(tensorized.model).problems).toEqual([]);
    const outputs = await (await loadGraph(writeModel(tensorized.model))).run({ x: X });
    expect(Object.keys(outputs).sort()).toEqual(['pair_0', 'pair_0_1', 'pair_1']);
    expect(outputs.pair_0_1?.data).toEqual(X.column.data);
    expect(outputs.pair_1?.data).toEqual(X.column.data.map((value) => -value));
  });

  it('stay, and are refused, when they are made in another way or used within the graph', () => {
    const graph = new GraphBuilder();
    graph.input('x', 'float32', ['batch', 3]);
    graph.output('x', 'float32', ['batch', 3]);
    const model = extended(
      graph.build(),
      nodeOf({ opType: 'SequenceConstruct', inputs: ['x'], outputs: ['used'] }),
      nodeOf({ opType: 'SequenceLength', inputs: ['used'], outputs: ['length'] }),
      nodeOf({ opType: 'SplitToSequence', inputs: ['x'], outputs: ['parts'] }),
      nodeOf({ opType: 'Optional', inputs: ['x'], outputs: ['maybe'] }),
      valueInfo('output', 'used', sequenceOf(tensorType('float32'))),
      valueInfo('output', 'parts', sequenceOf(tensorType('float32'))),
      valueInfo('output', 'maybe', optionalOf(tensorType('float32'))),
      valueInfo('output', 'a map', mapType('string')),
    );
    const tensorized = tensorizeOutputs(model);
    expect(tensorized).toEqual({ model, rewrites: [] });
    expect(inspect(tensorized.model).problems).toEqual([
      'output "used" is of kind sequence; only tensors are served',
      'output "parts" is of kind sequence; only tensors are served',
      'output "maybe" is of kind optional; only tensors are served',
      'output "a map" is of kind map; only tensors are served',
    ]);
  });

  it('are left alone in a model that has only tensors: not a byte changes', () => {
    const graph = new GraphBuilder();
    graph.input('x', 'float32', [1]);
    graph.output('x', 'float32', [1]);
    const bytes = graph.build();
    const { model, rewrites } = tensorizeOutputs(readModel(bytes));
    expect(rewrites).toEqual([]);
    expect(writeModel(model)).toEqual(bytes);
  });
});
