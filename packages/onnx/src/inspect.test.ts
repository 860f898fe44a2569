import { describe, expect, it } from 'vitest';
import { ELEMENT_TYPE_CODES, type ElementType, SERVED_ELEMENT_TYPES } from './element-types.ts';
import { GraphBuilder } from './graph-builder.ts';
import { inspect } from './inspect.ts';
import { writeModel } from './model.ts';
import { int64Field, messageField, textField, writeMessage } from './protobuf.ts';
import { readModel } from './read-model.ts';
import { ATTRIBUTE, FUNCTION, GRAPH, MODEL, NODE, SPARSE_TENSOR, TENSOR } from './schema.ts';
import { float32Tensor } from './tensors.ts';
import {
  extended,
  mapType,
  nodeOf,
  nodeWithGraphs,
  sequenceOf,
  tensorType,
  valueInfo,
} from './testing/foreign-models.ts';

function plain(type: ElementType = 'float32'): Uint8Array {
  const graph = new GraphBuilder();
  graph.input('x', type, ['N', 1]);
  graph.node('Identity', ['x'], { outputs: ['y'] });
  graph.output('y', type, ['N', 1]);
  return graph.build();
}

const external = [
  textField(TENSOR.name, 'weights'),
  messageField(TENSOR.externalData, [textField(1, 'location'), textField(2, '../../etc/passwd')]),
];

describe('describing a model', () => {
  it('names inputs, outputs, operators, operator sets and metadata', () => {
    const graph = new GraphBuilder({ metadata: { task: 'test' } });
    graph.input('x', 'int64', ['N', 3]);
    graph.constant(float32Tensor([1]), 'scale');
    graph.node('Neg', ['x'], { outputs: ['y'] });
    graph.node('Neg', ['y'], { outputs: ['z'] });
    graph.node('Binarizer', ['y'], { domain: 'ai.onnx.ml', outputs: ['b'] });
    graph.output('z', 'int64', ['N', 3]);
    const branch = [nodeOf({ opType: 'Neg', inputs: ['x'], outputs: ['n'] })];
    const model = extended(
      graph.build(),
      valueInfo('input', 'scale', tensorType('float32', [1])),
      nodeWithGraphs({ opType: 'If', inputs: ['c'], outputs: ['i'] }, { then_branch: branch, else_branch: branch }),
    );
    expect(inspect(model)).toEqual({
      irVersion: 10,
      producer: 'assay',
      opsets: [
        { domain: '', version: 21 },
        { domain: 'ai.onnx.ml', version: 5 },
      ],
      inputs: [
        { name: 'x', kind: 'tensor', elementType: 'int64', dims: ['N', 3], hasDefault: false },
        { name: 'scale', kind: 'tensor', elementType: 'float32', dims: [1], hasDefault: true },
      ],
      outputs: [{ name: 'z', kind: 'tensor', elementType: 'int64', dims: ['N', 3] }],
      operators: [
        { domain: '', opType: 'Neg', count: 4 },
        { domain: 'ai.onnx.ml', opType: 'Binarizer', count: 1 },
        { domain: '', opType: 'If', count: 1 },
      ],
      metadata: { task: 'test' },
      problems: [],
    });
  });

  it.each(Object.keys(ELEMENT_TYPE_CODES))('serves %s only if it is on the list', (name) => {
    const type = name as ElementType; // a key of the table
    const served = SERVED_ELEMENT_TYPES.some((allowed) => allowed === type);
    const { problems, inputs } = inspect(readModel(plain(type)));
    expect(inputs[0]?.elementType).toBe(type);
    if (served) expect(problems).toEqual([]);
    else
      expect(problems).toEqual([
        expect.stringContaining(`input "x" has element type ${type}`),
        expect.stringContaining('output "y"'),
      ]);
  });

  it('refuses element types that are not known at all', () => {
    const type = messageField(1, [int64Field(1, 99)]);
    const { problems } = inspect(extended(plain(), valueInfo('output', 'odd', type)));
    expect(problems).toEqual([expect.stringContaining('output "odd" has element type undefined')]);
  });

  it('refuses sequences, maps and values without a type', () => {
    const model = extended(
      plain(),
      valueInfo('input', 's', sequenceOf(tensorType('float32'))),
      valueInfo('output', 'm', mapType('int64')),
      messageField(GRAPH.output, [textField(1, 'untyped')]),
    );
    expect(inspect(model).problems).toEqual([
      'input "s" is of kind sequence; only tensors are served',
      'output "m" is of kind map; only tensors are served',
      'output "untyped" is of kind unknown; only tensors are served',
    ]);
  });

  it("refuses operators of other domains, also within nested graphs, but not the model's own functions", () => {
    const foreign = nodeOf({ opType: 'Evil', domain: 'com.example', inputs: ['x'], outputs: ['e'] });
    const own = nodeOf({ opType: 'Twice', domain: 'my.functions', inputs: ['x'], outputs: ['t'] });
    const contrib = nodeOf({ opType: 'Gelu', domain: 'com.microsoft', inputs: ['x'], outputs: ['g'] });
    const nested = nodeWithGraphs({ opType: 'If', inputs: ['c'], outputs: ['i'] }, { then_branch: [foreign] });
    const functions = messageField(MODEL.functions, [
      textField(FUNCTION.name, 'Twice'),
      textField(FUNCTION.domain, 'my.functions'),
    ]);
    const model = readModel(writeMessage([...extended(plain(), own, contrib, nested).fields, functions]));
    expect(inspect(model).problems).toEqual([
      'operator "com.example.Evil" is not part of ONNX Runtime; custom operator libraries are never loaded',
    ]);
    expect(inspect(extended(plain(), own)).problems).toEqual([expect.stringContaining('my.functions.Twice')]);
  });

  it.each([
    ['an initializer', messageField(GRAPH.initializer, external)],
    [
      'an initializer that only says so',
      messageField(GRAPH.initializer, [textField(TENSOR.name, 'weights'), int64Field(TENSOR.dataLocation, 1)]),
    ],
    [
      'the values of a sparse initializer',
      messageField(GRAPH.sparseInitializer, [messageField(SPARSE_TENSOR.values, external)]),
    ],
    [
      'the indices of a sparse initializer',
      messageField(GRAPH.sparseInitializer, [
        messageField(SPARSE_TENSOR.values, external.slice(0, 1)),
        messageField(SPARSE_TENSOR.indices, external),
      ]),
    ],
    [
      'a constant',
      messageField(GRAPH.node, [
        textField(NODE.opType, 'Constant'),
        messageField(NODE.attribute, [messageField(ATTRIBUTE.tensor, external)]),
      ]),
    ],
    [
      'a list of tensors',
      messageField(GRAPH.node, [
        textField(NODE.opType, 'Constant'),
        messageField(NODE.attribute, [messageField(ATTRIBUTE.tensors, external)]),
      ]),
    ],
    [
      'a nested graph',
      nodeWithGraphs(
        { opType: 'If', inputs: [], outputs: ['i'] },
        { then_branch: [messageField(GRAPH.initializer, external)] },
      ),
    ],
  ])('refuses data in another file: %s', (_, field) => {
    expect(inspect(extended(plain(), field)).problems).toEqual([
      'tensor "weights" keeps its data in another file; save the model as a single file',
    ]);
  });

  it('refuses data in another file within a function', () => {
    const constant = messageField(FUNCTION.node, [
      textField(NODE.opType, 'Constant'),
      messageField(NODE.attribute, [messageField(ATTRIBUTE.tensor, external)]),
    ]);
    const bytes = writeMessage([...readModel(plain()).fields, messageField(MODEL.functions, [constant])]);
    expect(inspect(readModel(bytes)).problems).toEqual([expect.stringContaining('keeps its data in another file')]);
  });

  it('refuses what cannot be fed or asked: no inputs, no outputs, no operator set, names that are empty or stand twice', () => {
    expect(inspect(readModel(writeMessage([messageField(MODEL.graph, [])]))).problems).toEqual([
      'the model names no operator set',
      'the model has no outputs',
      'the model has no inputs to feed',
    ]);
    const twice = extended(
      plain(),
      valueInfo('input', 'x', tensorType('float32')),
      valueInfo('input', '', tensorType('float32')),
      valueInfo('output', 'y', tensorType('float32')),
    );
    expect(inspect(twice).problems).toEqual([
      'input "x" stands twice',
      'an input has no name',
      'output "y" stands twice',
    ]);
  });

  it('names at most twenty problems', () => {
    const many = Array.from({ length: 100 }, (_, i) => valueInfo('output', `m${i}`, mapType('string')));
    expect(inspect(extended(plain(), ...many)).problems).toHaveLength(20);
  });

  it('takes ai.onnx for the name of the default domain', () => {
    const bytes = writeModel(
      extended(plain(), nodeOf({ opType: 'Neg', domain: 'ai.onnx', inputs: ['x'], outputs: ['n'] })),
    );
    expect(inspect(readModel(bytes))).toMatchObject({
      problems: [],
      operators: [
        { domain: '', opType: 'Identity' },
        { domain: '', opType: 'Neg' },
      ],
    });
  });
});
