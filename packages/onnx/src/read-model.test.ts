import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementType, int, intsOf, strings, tensor } from './attributes.ts';
import { GraphBuilder } from './graph-builder.ts';
import { inspect } from './inspect.ts';
import { writeModel } from './model.ts';
import { packInputs } from './pack-inputs.ts';
import { bytesField, type Field, int64Field, messageField, readMessage, textField, writeMessage } from './protobuf.ts';
import { readModel } from './read-model.ts';
import { ATTRIBUTE, GRAPH, MODEL, NODE, VALUE_INFO } from './schema.ts';
import { tensorizeOutputs } from './tensorize-outputs.ts';
import { float64Tensor, stringTensor } from './tensors.ts';
import { extended, nodeOf, nodeWithGraphs, sequenceOf, tensorType, valueInfo } from './testing/foreign-models.ts';
import { SKLEARN_CLASSIFIER } from './testing/sklearn-classifier.ts';

/** A model with something of everything: casts, tensors, a nested graph, a sequence, a ZipMap. */
function variedModel(): Uint8Array {
  const graph = new GraphBuilder({ metadata: { origin: 'test', 'a key': 'ü' } });
  graph.input('a', 'float64', ['N', 1]);
  graph.input('b', 'float32', ['N', 1]);
  graph.input('c', 'string', ['N', 1]);
  graph.input('d', 'string', ['N', 1]);
  const wide = graph.node('Cast', ['b'], { attributes: { to: elementType('float64') } });
  const joined = graph.node('Concat', ['a', wide, graph.constant(float64Tensor([1, 2], [1, 2]))], {
    attributes: { axis: int(1) },
  });
  graph.node('LabelEncoder', ['c'], {
    domain: 'ai.onnx.ml',
    attributes: {
      keys_strings: strings(['x', 'y']),
      values_tensor: tensor(float64Tensor([1, 2])),
      default_tensor: tensor(float64Tensor([0])),
    },
    outputs: ['code'],
  });
  graph.node('Equal', ['d', graph.constant(stringTensor(['z']))], { outputs: ['is z'] });
  graph.output(joined, 'float64', ['N', 4]);
  graph.output('code', 'float64', ['N', 1]);
  const branch = [nodeOf({ opType: 'Identity', inputs: ['a'], outputs: ['inner'] }), textField(GRAPH.name, 'branch')];
  return writeModel(
    extended(
      graph.build(),
      nodeWithGraphs(
        { opType: 'If', inputs: ['is z'], outputs: ['chosen'] },
        { then_branch: branch, else_branch: branch },
      ),
      nodeOf({ opType: 'SequenceConstruct', inputs: ['a', 'a'], outputs: ['pair'] }),
      valueInfo('output', 'pair', sequenceOf(tensorType('float64', ['N', 1]))),
      bytesField(999, Uint8Array.of(1, 2, 3)),
    ),
  );
}

/** Everything that Assay does with foreign bytes before onnxruntime sees them. */
function readFully(bytes: Uint8Array): void {
  const model = readModel(bytes);
  expect(writeModel(model)).toEqual(bytes);
  inspect(model);
  const packing = packInputs(tensorizeOutputs(model).model);
  inspect(packing.model);
}

/** Reads, or is refused as a model: anything else is a failure of the test. */
function isRefused(bytes: Uint8Array): boolean {
  try {
    readFully(bytes);
    return false;
  } catch (error) {
    expect(error).toMatchObject({ name: 'AssayError', code: 'UNPROCESSABLE_MODEL' });
    return true;
  }
}

describe('reading and writing a model', () => {
  it('gives back every byte, unknown fields included', () => {
    const bytes = variedModel();
    const withUnknown = writeMessage([
      int64Field(1000, -1n),
      ...readMessage(bytes, 'test', { fieldsLeft: 1000, maxDepth: 1 }),
      textField(1001, 'what is this?'),
    ]);
    expect(writeModel(readModel(bytes))).toEqual(bytes);
    expect(writeModel(readModel(withUnknown))).toEqual(withUnknown);
    expect(writeModel(readModel(SKLEARN_CLASSIFIER))).toEqual(SKLEARN_CLASSIFIER);
  });

  it('shows what is in it', () => {
    const model = readModel(variedModel());
    expect(model.opsets).toEqual([
      { domain: '', version: 21 },
      { domain: 'ai.onnx.ml', version: 5 },
    ]);
    expect(model.producer).toBe('assay');
    expect([...model.metadata]).toEqual([
      ['origin', 'test'],
      ['a key', 'ü'],
    ]);
    expect(model.graph.inputs.map(({ name, type }) => [name, type])).toEqual([
      ['a', { kind: 'tensor', elementType: 'float64', dims: ['N', 1] }],
      ['b', { kind: 'tensor', elementType: 'float32', dims: ['N', 1] }],
      ['c', { kind: 'tensor', elementType: 'string', dims: ['N', 1] }],
      ['d', { kind: 'tensor', elementType: 'string', dims: ['N', 1] }],
    ]);
    expect(model.graph.outputs.at(-1)?.type).toEqual({
      kind: 'sequence',
      element: { kind: 'tensor', elementType: 'float64', dims: ['N', 1] },
    });
    const branches = model.graph.nodes
      .find((node) => node.opType === 'If')
      ?.attributes.map(({ graphs }) => graphs[0]?.name);
    expect(branches).toEqual(['branch', 'branch']);
  });

  it('takes any mutation of a model for another model or refuses it, and nothing else', () => {
    const bytes = variedModel();
    let refused = 0;
    let read = 0;
    const mutation = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(mutation, (changes) => {
        const mutated = bytes.slice();
        for (const [at, byte] of changes) mutated[at] = byte;
        if (isRefused(mutated)) refused += 1;
        else read += 1;
      }),
      { seed: 7, numRuns: 1500 },
    );
    expect(refused).toBeGreaterThan(150);
    expect(read).toBeGreaterThan(150);
  });

  it('refuses a model that is cut anywhere inside its graph, and survives bytes left out or put in', () => {
    const bytes = variedModel();
    const [, , graph] = readMessage(bytes, 'test', { fieldsLeft: 1000, maxDepth: 1 });
    for (let length = 0; length < (graph?.end ?? 0); length++) expect(isRefused(bytes.subarray(0, length))).toBe(true);
    fc.assert(
      fc.property(fc.nat(bytes.length), fc.nat(40), fc.uint8Array({ maxLength: 40 }), (at, gone, added) => {
        const rest = bytes.subarray(Math.min(bytes.length, at + gone));
        isRefused(Uint8Array.from([...bytes.subarray(0, at), ...added, ...rest]));
      }),
      { seed: 8, numRuns: 500 },
    );
  });

  it.each([
    ['nothing', [], 'holds no graph'],
    ['ORT format', [...'\x20\0\0\0ORTM'], "ONNX Runtime's own format"],
    ['a zip archive', [...'PK\x03\x04'], 'a zip archive (a PyTorch or Keras file?)'],
    ['a pickle', [...'\x80\x04'], 'a Python pickle, which Assay never loads'],
    ['HDF5', [...'\x89HDF'], 'HDF5'],
    ['a text', [...'{"a": 1}'], 'is no ONNX model'],
    ['a web page', [...'<!DOCTYPE html><html>'], 'is no ONNX model'],
  ])('refuses %s by name', (_, characters, message) => {
    const bytes = Uint8Array.from(characters, (character) => String(character).charCodeAt(0));
    expect(() => readModel(bytes)).toThrow(
      expect.objectContaining({ code: 'UNPROCESSABLE_MODEL', message: expect.stringContaining(message) }),
    );
  });

  it('takes a model whose producer is called like another format', () => {
    const bytes = writeMessage([
      int64Field(1, 8),
      textField(MODEL.producerName, 'ORTM'),
      messageField(MODEL.graph, []),
    ]);
    expect(String.fromCharCode(...bytes.subarray(4, 8))).toBe('ORTM');
    expect(readModel(bytes).producer).toBe('ORTM');
  });

  it('refuses two graphs, which other readers would merge into one that was not checked', () => {
    const graph = messageField(MODEL.graph, []);
    expect(() => readModel(writeMessage([graph, graph]))).toThrow('field 7 stands twice');
  });

  it('refuses graphs and types that are nested without end', () => {
    let graph: Field[] = [];
    for (let depth = 0; depth < 1000; depth++) {
      const attribute = messageField(NODE.attribute, [messageField(ATTRIBUTE.graph, graph)]);
      graph = [messageField(GRAPH.node, [attribute])];
    }
    expect(() => readModel(writeMessage([messageField(MODEL.graph, graph)]))).toThrow('nested more than 30 deep');
    let type = tensorType('float32');
    for (let depth = 0; depth < 1000; depth++) type = sequenceOf(type);
    const input = messageField(GRAPH.input, [textField(VALUE_INFO.name, 'x'), messageField(VALUE_INFO.type, [type])]);
    expect(() => readModel(writeMessage([messageField(MODEL.graph, [input])]))).toThrow('nested more than 30 deep');
  });

  it('holds its limits of bytes and fields', () => {
    const bytes = variedModel();
    expect(() => readModel(bytes, { maxBytes: bytes.length - 1 })).toThrow(`at most ${bytes.length - 1} are read`);
    expect(() => readModel(bytes, { maxFields: 50 })).toThrow('more fields than a model may have');
    expect(readModel(bytes, { maxBytes: bytes.length, maxFields: 500 }).graph.inputs).toHaveLength(4);
  });

  it('reads an attribute of a million numbers without keeping a field for each', () => {
    // As Python writes `ints`: one by one, each with its tag.
    const numbers = Uint8Array.from({ length: 2_000_000 }, (_, i) => (i % 2 === 0 ? ATTRIBUTE.ints * 8 : 5));
    const content = [...writeMessage([textField(ATTRIBUTE.name, 'ids')])];
    const bytesOfAttribute = new Uint8Array(content.length + numbers.length);
    bytesOfAttribute.set(content);
    bytesOfAttribute.set(numbers, content.length);
    const attribute = bytesField(NODE.attribute, bytesOfAttribute);
    const node = messageField(GRAPH.node, [textField(NODE.opType, 'TreeEnsembleRegressor'), attribute]);
    const bytes = writeMessage([messageField(MODEL.graph, [node])]);
    const read = readModel(bytes, { maxFields: 100 }).graph.nodes[0]?.attributes[0];
    expect(read?.name).toBe('ids');
    expect(read && intsOf(read).length).toBe(1_000_000);
  });
});
