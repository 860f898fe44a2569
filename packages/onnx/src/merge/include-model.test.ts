import { expect, test } from 'vitest';
import { GraphBuilder, nodeFields } from '../graph-builder.ts';
import type { OnnxModel } from '../model.ts';
import { type Field, int64Field, messageField, textField, writeMessage } from '../protobuf.ts';
import { readModel } from '../read-model.ts';
import { FUNCTION, GRAPH, MODEL } from '../schema.ts';
import { float32Tensor, stringTensor, tensorFields } from '../tensors.ts';
import { extended, nodeOf, nodeWithGraphs, tensorType, valueInfo } from '../testing/foreign-models.ts';
import { feed, loadGraph } from '../testing/run-graph.ts';
import { alignOpsets } from './align-opsets.ts';
import { includeModel, sharedFunctions } from './include-model.ts';

const ROW = tensorType('float32', ['N', 1]);

/** x → y by these nodes. */
function model(...fields: readonly Field[]): OnnxModel {
  const graph = new GraphBuilder();
  graph.input('x', 'float32', ['N', 1]);
  return extended(graph.build(), ...fields, valueInfo('output', 'y', ROW));
}

const addOne = (constant = 1): OnnxModel =>
  model(
    messageField(GRAPH.initializer, tensorFields('c', float32Tensor([constant]))),
    nodeOf({ opType: 'Add', inputs: ['x', 'c'], outputs: ['h'] }),
    nodeOf({ opType: 'Identity', inputs: ['h'], outputs: ['y'] }),
  );

/** Each model fed by the one before it. */
function chained(...models: readonly OnnxModel[]): Uint8Array {
  const aligned = alignOpsets(
    models.map((each, i) => ({ name: `m${i}`, model: each })),
    11,
  );
  const functions = sharedFunctions(models);
  if (typeof aligned === 'string' || typeof functions === 'string') throw new Error(`${aligned} ${functions}`);
  const graph = new GraphBuilder(aligned);
  for (const field of functions) graph.adoptFunction(field);
  let value = graph.input('x', 'float32', ['N', 1]);
  models.forEach((each, i) => {
    value = includeModel(graph, each, { prefix: `m${i}/`, inputs: new Map([['x', value]]) }).get('y') ?? '';
  });
  graph.node('Identity', [value], { outputs: ['out'] });
  graph.output('out', 'float32', ['N', 1]);
  return graph.build();
}

async function run(onnx: Uint8Array, ...x: readonly number[]): Promise<number[]> {
  const graph = await loadGraph(onnx);
  const { out } = await graph.run({ x: feed({ type: 'float32', data: Float32Array.from(x) }) });
  return Array.from(out?.data as Float32Array);
}

test('models that name all things alike do not meet', async () => {
  expect(await run(chained(addOne(), addOne(10), addOne(100)), 1, 2)).toEqual([112, 113]);
});

test('a nested graph goes on seeing the values around it', async () => {
  const branch = (factor: string) => [
    textField(GRAPH.name, `by ${factor}`),
    nodeOf({ opType: 'Mul', inputs: ['h', factor], outputs: [`r_${factor}`] }),
    valueInfo('output', `r_${factor}`, ROW),
  ];
  const chooses = model(
    messageField(GRAPH.initializer, tensorFields('two', float32Tensor([2]))),
    messageField(GRAPH.initializer, tensorFields('three', float32Tensor([3]))),
    messageField(GRAPH.initializer, tensorFields('limit', float32Tensor([10], []))),
    nodeOf({ opType: 'Identity', inputs: ['x'], outputs: ['h'] }),
    nodeOf({ opType: 'ReduceMax', inputs: ['h'], outputs: ['most'] }),
    nodeOf({ opType: 'Greater', inputs: ['most', 'limit'], outputs: ['above'] }),
    nodeOf({ opType: 'Squeeze', inputs: ['above'], outputs: ['c'] }),
    nodeWithGraphs(
      { opType: 'If', inputs: ['c'], outputs: ['y'] },
      { then_branch: branch('two'), else_branch: branch('three') },
    ),
  );
  const onnx = chained(addOne(), chooses, addOne());
  expect(await run(onnx, 1)).toEqual([7]);
  expect(await run(onnx, 20)).toEqual([43]);
});

function withFunction(factor: number): OnnxModel {
  const constant = { opType: 'Constant', inputs: [], outputs: ['k'] };
  const inner = [
    messageField(FUNCTION.node, [
      ...nodeFields({
        ...constant,
        attributes: { value: { type: 'tensor', value: float32Tensor([factor]) } },
      }),
    ]),
    messageField(FUNCTION.node, nodeFields({ opType: 'Mul', inputs: ['a', 'k'], outputs: ['b'] })),
  ];
  const opset = messageField(9, [textField(1, ''), int64Field(2, 21)]);
  const definition = messageField(MODEL.functions, [
    textField(FUNCTION.name, 'Scale'),
    textField(4, 'a'),
    textField(5, 'b'),
    ...inner,
    opset,
    textField(FUNCTION.domain, 'mine'),
  ]);
  const domain = messageField(MODEL.opsetImport, [textField(1, 'mine'), int64Field(2, 1)]);
  const calls = model(nodeOf({ opType: 'Scale', inputs: ['x'], outputs: ['y'], domain: 'mine' }));
  return readModel(writeMessage([...calls.fields, domain, definition]));
}

test('functions of a model come along, each once', async () => {
  expect(await run(chained(withFunction(3), withFunction(3)), 2)).toEqual([18]);
});

test('two functions of one name that differ are a reason not to merge', () => {
  expect(sharedFunctions([withFunction(3), withFunction(4)])).toBe(
    'two parts bring a function "mine.Scale", and they differ',
  );
});

function ofOpset(opset: number, opType: string, irVersion = 8): OnnxModel {
  const graph = new GraphBuilder({ opsets: { '': opset }, irVersion });
  const x = graph.input('x', 'float32', ['N', 1]);
  graph.node(opType, [x], { outputs: ['y'] });
  graph.output('y', 'float32', ['N', 1]);
  return readModel(graph.build());
}

const named = (...models: readonly OnnxModel[]) => models.map((each, i) => ({ name: `m${i}`, model: each }));

test('an older operator set is raised where its operators mean the same in the newer one', async () => {
  const older = ofOpset(9, 'Tanh');
  const newer = ofOpset(21, 'Neg', 10);
  expect(alignOpsets(named(older, newer), 11)).toEqual({ opsets: { '': 21 }, irVersion: 10 });
  expect(await run(chained(older, newer), 0.5)).toEqual([-Math.fround(Math.tanh(0.5))]);
});

test('an operator that came to mean another thing is a reason not to merge', () => {
  expect(alignOpsets(named(ofOpset(11, 'Softmax'), ofOpset(13, 'Neg')), 11)).toBe(
    'Softmax of opset 11 means another thing in opset 13, which a part needs ("m0")',
  );
});

test('an initializer that an old format also names as an input stays what it is', async () => {
  const graph = new GraphBuilder({ opsets: { '': 13 }, irVersion: 3 });
  graph.input('x', 'float32', ['N', 1]);
  const old = extended(
    graph.build(),
    messageField(GRAPH.initializer, tensorFields('c', float32Tensor([5]))),
    valueInfo('input', 'c', tensorType('float32', [1])),
    nodeOf({ opType: 'Add', inputs: ['x', 'c'], outputs: ['y'] }),
    valueInfo('output', 'y', ROW),
  );
  expect(await run(chained(old, addOne()), 1)).toEqual([7]);
});

test('the strings of an initializer keep their order', async () => {
  const strings = model(
    messageField(GRAPH.initializer, tensorFields('words', stringTensor(['b', 'a', 'c']))),
    messageField(GRAPH.initializer, tensorFields('word', stringTensor(['c']))),
    nodeOf({ opType: 'Equal', inputs: ['words', 'word'], outputs: ['same'] }),
    nodeOf({ opType: 'Cast', inputs: ['same'], outputs: ['hit'], attributes: { to: { type: 'int', value: 1 } } }),
    nodeOf({ opType: 'Mul', inputs: ['x', 'hit'], outputs: ['wide'] }),
    nodeOf({ opType: 'ArgMax', inputs: ['wide'], outputs: ['at'], attributes: { axis: { type: 'int', value: 1 } } }),
    nodeOf({ opType: 'Cast', inputs: ['at'], outputs: ['y'], attributes: { to: { type: 'int', value: 1 } } }),
  );
  expect(await run(chained(strings), 1)).toEqual([2]);
});

test('a model whose input nothing feeds is refused', () => {
  expect(() => includeModel(new GraphBuilder(), addOne(), { prefix: 'm/', inputs: new Map() })).toThrow(
    'input "x" of the model under "m/" is fed by nothing',
  );
});
