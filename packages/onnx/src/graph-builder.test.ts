import { describe, expect, it } from 'vitest';
import { elementType, int, tensor } from './attributes.ts';
import { GraphBuilder } from './graph-builder.ts';
import { inspect } from './inspect.ts';
import { readModel } from './read-model.ts';
import { boolTensor, float32Tensor, float64Tensor, int64Tensor, stringTensor } from './tensors.ts';
import { feed, loadGraph } from './testing/run-graph.ts';

describe('a built graph', () => {
  it('runs, with constants of every type', async () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float64', ['N', 1]);
    const text = graph.input('text', 'string', ['N', 1]);
    const scaled = graph.node('Mul', [x, graph.constant(float64Tensor([0.1]))]);
    graph.node('Add', [scaled, graph.constant(float64Tensor([1e-17]), 'tiny')], { outputs: ['y'] });
    const same = graph.node('Equal', [text, graph.constant(stringTensor(['ü']))]);
    graph.node('And', [same, graph.constant(boolTensor([true]))], { outputs: ['same'] });
    const whole = graph.node('Cast', [x], { attributes: { to: elementType('int64') } });
    graph.node('Add', [whole, graph.constant(int64Tensor([2n ** 53n + 1n]))], { outputs: ['large'] });
    const narrow = graph.node('Cast', [x], { attributes: { to: elementType('float32') } });
    graph.node('Mul', [narrow, graph.constant(float32Tensor([0.1]))], { outputs: ['single'] });
    graph.node('Constant', [], { attributes: { value: tensor(int64Tensor([7], [1, 1])) }, outputs: ['seven'] });
    graph.node('Split', [graph.node('Concat', [x, x], { attributes: { axis: int(1) } })], {
      attributes: { axis: int(1), num_outputs: int(2) },
      outputs: ['first', 'second'],
    });
    for (const name of ['y', 'first', 'second']) graph.output(name, 'float64', ['N', 1]);
    graph.output('same', 'bool', ['N', 1]);
    graph.output('large', 'int64', ['N', 1]);
    graph.output('single', 'float32', ['N', 1]);
    graph.output('seven', 'int64', [1, 1]);
    const outputs = await (await loadGraph(graph.build())).run({
      x: feed({ type: 'float64', data: Float64Array.of(3, -1) }),
      text: feed({ type: 'string', data: ['ü', 'u'] }),
    });
    expect(outputs.y?.data).toEqual(Float64Array.of(3 * 0.1 + 1e-17, -1 * 0.1 + 1e-17));
    expect([...(outputs.same?.data ?? [])].map(Boolean)).toEqual([true, false]);
    expect(outputs.large?.data).toEqual(BigInt64Array.of(2n ** 53n + 4n, 2n ** 53n));
    expect(outputs.single?.data).toEqual(Float32Array.of(3 * Math.fround(0.1), -Math.fround(0.1)));
    expect(outputs.second?.data).toEqual(Float64Array.of(3, -1));
    expect(outputs.seven?.data).toEqual(BigInt64Array.of(7n));
  });

  it('carries its operator sets, IR version and metadata', () => {
    const graph = new GraphBuilder({ opsets: { '': 13 }, irVersion: 7, metadata: { k: 'v' }, name: 'g' });
    graph.input('x', 'bool', [null, 'M', 3]);
    graph.output('x', 'bool', []);
    const model = readModel(graph.build());
    expect(inspect(model)).toMatchObject({ opsets: [{ domain: '', version: 13 }], irVersion: 7, metadata: { k: 'v' } });
    expect(inspect(model).inputs[0]?.dims).toEqual([null, 'M', 3]);
    expect(inspect(model).outputs[0]?.dims).toEqual([]);
    expect(model.graph.name).toBe('g');
  });

  it('names its values without meeting a name that was given', () => {
    const graph = new GraphBuilder();
    graph.input('Neg_1', 'float32', [1]);
    expect(graph.node('Neg', ['Neg_1'])).toBe('Neg_2');
    expect(graph.node('Neg', ['Neg_2'])).toBe('Neg_3');
  });

  it('refuses what could not be loaded: unknown inputs, names given twice, wrong sizes', () => {
    const graph = new GraphBuilder();
    graph.input('x', 'float32', [1]);
    expect(() => graph.node('Neg', ['y'])).toThrow('node Neg takes "y", which nothing before it makes');
    expect(() => graph.input('x', 'float32', [1])).toThrow('"x" twice');
    expect(() => graph.node('Neg', ['x'], { outputs: ['x'] })).toThrow('"x" twice');
    expect(() => graph.output('y', 'float32', [1])).toThrow('output "y" is made by no node');
    expect(() => graph.constant(float64Tensor([1, 2, 3], [2, 2]))).toThrow(
      'of shape [2, 2] needs 4 elements and has 3',
    );
  });
});
