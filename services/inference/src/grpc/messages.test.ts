import { AssayError, type Feature, type Signature } from '@assay/contracts';
import type { OutputTensor, ScoredRows } from '@assay/scoring';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readBinaryData } from '../http/oip/binary-data.ts';
import {
  type InferTensorContents,
  type ModelInferRequest,
  ModelInferRequestSchema,
  ModelInferResponseSchema,
} from './gen/inference/inference_pb.ts';
import { readInferRequest, type WireOutput } from './read-infer-request.ts';
import { readTensors } from './read-tensors.ts';
import { planInferResponse, responseHead } from './write-infer-response.ts';

const scalar: Pick<Feature, 'shape' | 'nullable'> = { shape: [], nullable: false };
const SIGNATURE: Signature = {
  features: [
    { name: 'f32', dtype: 'float32', ...scalar },
    { name: 'f64', dtype: 'float64', ...scalar },
    { name: 'i64', dtype: 'int64', ...scalar },
    { name: 'flag', dtype: 'bool', ...scalar },
    { name: 'text', dtype: 'string', ...scalar },
    { name: 'at', dtype: 'timestamp', ...scalar },
  ],
  outputs: [{ name: 'y', dtype: 'float32', shape: [] }],
};

type Contents = Partial<Omit<InferTensorContents, '$typeName' | '$unknown'>>;

/** The bytes of a request with one input. */
function requestOf(
  name: string,
  datatype: string,
  data: Contents | Uint8Array,
  shape: readonly number[] = [2],
): Buffer {
  const isRaw = data instanceof Uint8Array;
  const input = { name, datatype, shape: shape.map(BigInt), ...(isRaw ? {} : { contents: data }) };
  const message = create(ModelInferRequestSchema, { inputs: [input], rawInputContents: isRaw ? [data] : [] });
  return Buffer.from(toBinary(ModelInferRequestSchema, message));
}

function dataOf(...request: Parameters<typeof requestOf>): unknown[] {
  const [tensor] = readTensors(readInferRequest(requestOf(...request)), SIGNATURE, 100);
  return Array.from(tensor?.data as ArrayLike<unknown>); // never a dictionary here
}

function refusal(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof AssayError) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'taken';
}

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const BIG = 2n ** 62n + 1n;

describe('a request', () => {
  test('is read as protobuf-es writes it', () => {
    const parameter = fc.record({ parameterChoice: fc.constant({ case: 'stringParam' as const, value: 'x' }) });
    const parameters = fc.dictionary(fc.string(), parameter);
    const classes = fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n });
    const classification = fc.record({
      parameterChoice: fc.record({ case: fc.constant('int64Param' as const), value: classes }),
    });
    const outputParameters = fc
      .tuple(parameters, fc.option(classification))
      .map(([others, one]) => (one === null ? others : { ...others, classification: one }));
    const shape = fc.array(fc.bigInt({ min: 0n, max: 2n ** 40n }), { maxLength: 8 });
    const input = fc.record({ name: fc.string(), datatype: fc.string(), shape, parameters });
    const message = fc.record({
      modelName: fc.string({ unit: 'binary' }),
      modelVersion: fc.string(),
      id: fc.string(),
      parameters,
      inputs: fc.array(input, { minLength: 1, maxLength: 4 }),
      outputs: fc.array(fc.record({ name: fc.string(), parameters: outputParameters }), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(message, (made) => {
        const bytes = Buffer.from(toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, made)));
        const read = readInferRequest(bytes);
        expect(read).toMatchObject({
          modelName: made.modelName.toWellFormed(),
          modelVersion: made.modelVersion,
          id: made.id,
          inputs: made.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(Number) })),
          outputs: made.outputs.map(({ name, parameters }) => ({
            name,
            classes: Object.hasOwn(parameters, 'classification')
              ? Number(parameters.classification?.parameterChoice.value)
              : undefined,
          })),
        });
      }),
    );
  });

  test.each<[string, string, Contents, Uint8Array | undefined, unknown[]]>([
    ['f32', 'FP32', { fp32Contents: [0.5, -1] }, bytesOf(Float32Array.of(0.5, -1)), [0.5, -1]],
    ['f64', 'FP64', { fp64Contents: [0.1, 1e300] }, bytesOf(Float64Array.of(0.1, 1e300)), [0.1, 1e300]],
    ['f64', 'FP32', { fp32Contents: [0.5, 2] }, bytesOf(Float32Array.of(0.5, 2)), [0.5, 2]],
    ['i64', 'INT64', { int64Contents: [BIG, -BIG] }, bytesOf(BigInt64Array.of(BIG, -BIG)), [BIG, -BIG]],
    ['i64', 'INT32', { intContents: [-7, 7] }, bytesOf(Int32Array.of(-7, 7)), [-7, 7]],
    ['i64', 'UINT32', { uintContents: [7, 2 ** 32 - 1] }, bytesOf(Uint32Array.of(7, 2 ** 32 - 1)), [7, 2 ** 32 - 1]],
    ['f32', 'INT8', { intContents: [-128, 127] }, bytesOf(Int8Array.of(-128, 127)), [-128, 127]],
    ['f32', 'UINT16', { uintContents: [0, 65_535] }, bytesOf(Uint16Array.of(0, 65_535)), [0, 65_535]],
    ['at', 'INT64', { int64Contents: [1n, -1n] }, bytesOf(BigInt64Array.of(1n, -1n)), [1n, -1n]],
    [
      'text',
      'BYTES',
      { bytesContents: [Buffer.from('é'), Buffer.alloc(0)] },
      Buffer.from([2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0]),
      ['é', ''],
    ],
  ])('%s as %s means the same typed and raw', (name, datatype, typed, raw, expected) => {
    expect(dataOf(name, datatype, typed)).toEqual(expected);
    if (raw !== undefined) expect(dataOf(name, datatype, raw)).toEqual(expected);
  });

  test('bools are true and false typed, 1 and 0 raw', () => {
    expect(dataOf('flag', 'BOOL', { boolContents: [true, false] })).toEqual([true, false]);
    expect(dataOf('flag', 'BOOL', Uint8Array.of(1, 0))).toEqual([1, 0]);
  });

  test('FP16 travels raw', () => {
    expect(dataOf('f32', 'FP16', bytesOf(Float16Array.of(0.5, -65_504)))).toEqual([0.5, -65_504]);
    expect(refusal(() => dataOf('f32', 'FP16', { fp32Contents: [1, 2] }))).toMatch(/FP16 has no typed contents/);
  });

  test.each<[string, () => unknown, RegExp]>([
    [
      'another field',
      () => dataOf('f32', 'FP32', { fp64Contents: [1, 2] }),
      /inputs\[0\].contents.fp64_contents: is given for FP32; expected fp32_contents/,
    ],
    [
      'too many elements',
      () => dataOf('f32', 'FP32', { fp32Contents: [1, 2, 3] }),
      /more elements than the 2 of its shape/,
    ],
    [
      'too few raw bytes',
      () => dataOf('f32', 'FP32', new Uint8Array(7)),
      /raw_input_contents\[0\]: has 7 bytes; 2 elements of FP32 have 8/,
    ],
    [
      'a value beyond its datatype',
      () => dataOf('f32', 'INT8', { intContents: [1, 128] }),
      /int_contents\[1\]: 128 is no INT8/,
    ],
    [
      'a datatype that would be rounded',
      () => dataOf('f32', 'FP64', { fp64Contents: [1, 2] }),
      /"FP64" is not taken for input "f32"/,
    ],
    [
      'text that is no UTF-8',
      () => dataOf('text', 'BYTES', { bytesContents: [Buffer.from([0xff]), Buffer.alloc(0)] }),
      /bytes_contents\[0\]: is not UTF-8/,
    ],
    ['text cut short', () => dataOf('text', 'BYTES', Buffer.from([9, 0, 0, 0, 65])), /ends within element 0/],
    ['half a length', () => dataOf('text', 'BYTES', Buffer.from([9, 0])), /ends within element 0/],
    ['an unknown input', () => dataOf('f23', 'FP32', { fp32Contents: [1, 2] }), /no input "f23"; did you mean "f32"/],
    ['no data', () => dataOf('f32', 'FP32', {}), /has no data/],
    [
      'many rows in few bytes',
      () => dataOf('f32', 'FP32', { fp32Contents: [1] }, [1_000_000]),
      /PAYLOAD_TOO_LARGE .*1000000 rows/,
    ],
    [
      'many dimensions',
      () => dataOf('f32', 'FP32', { fp32Contents: [1] }, new Array(9).fill(1)),
      /more than 8 dimensions/,
    ],
  ])('%s is refused', (_, read, message) => {
    expect(refusal(read)).toMatch(message);
  });

  test('data both ways is refused, and raw data that is not one for one', () => {
    const input = { name: 'f32', datatype: 'FP32', shape: [1n] };
    const read = (message: Partial<Pick<ModelInferRequest, 'rawInputContents'>>, contents?: Contents) => () =>
      readInferRequest(
        Buffer.from(
          toBinary(
            ModelInferRequestSchema,
            create(ModelInferRequestSchema, {
              inputs: [{ ...input, ...(contents === undefined ? {} : { contents }) }],
              ...message,
            }),
          ),
        ),
      );
    expect(refusal(read({ rawInputContents: [new Uint8Array(4)] }, { fp32Contents: [1] }))).toMatch(
      /send the data one way/,
    );
    expect(refusal(read({ rawInputContents: [new Uint8Array(4), new Uint8Array(4)] }))).toMatch(
      /has 2 entries for 1 inputs/,
    );
    expect(refusal(() => readInferRequest(Buffer.alloc(0)))).toMatch(/at least one tensor/);
  });

  test('cut or changed bytes are refused in words, or read; nothing else happens', () => {
    const bytes = requestOf('f32', 'FP32', { fp32Contents: [1, 2] });
    const read = (changed: Buffer) => refusal(() => readTensors(readInferRequest(changed), SIGNATURE, 100));
    for (let end = 0; end < bytes.length; end++) expect(read(bytes.subarray(0, end))).toMatch(/^INVALID_ARGUMENT /);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(bytes);
        changed[at] = byte;
        expect(read(changed)).toMatch(/^(taken$|INVALID_ARGUMENT |PAYLOAD_TOO_LARGE |UNIMPLEMENTED )/);
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (noise) => void read(Buffer.from(noise))));
  });

  test('unpacked numbers are read as packed ones', () => {
    // fp32_contents as two single fields: tag 6 × 8 + 5
    const contents = Buffer.concat([1, 2].map((value) => Buffer.from([0x35, ...bytesOf(Float32Array.of(value))])));
    const input = Buffer.concat([
      Buffer.from([0x0a, 3]),
      Buffer.from('f32'),
      Buffer.from([0x12, 4]),
      Buffer.from('FP32'),
      Buffer.from([0x18, 2, 0x2a, contents.length]),
      contents,
    ]);
    const [tensor] = readTensors(
      readInferRequest(Buffer.concat([Buffer.from([0x2a, input.length]), input])),
      SIGNATURE,
      100,
    );
    expect(tensor).toEqual({ name: 'f32', dtype: 'float32', shape: [2], data: [1, 2] });
  });
});

describe('a response', () => {
  const outputs: OutputTensor[] = [
    { name: 'p', dtype: 'float32', shape: [3, 2], data: Float32Array.of(1, 2, 3, Number.NaN, 5, 6) },
    { name: 'n', dtype: 'int64', shape: [3, 1], data: BigInt64Array.of(1n, BIG, -BIG) },
    { name: 'b', dtype: 'bool', shape: [3], data: Uint8Array.of(0, 1, 0) },
    { name: 't', dtype: 'string', shape: [3], data: ['a', 'é', ''] },
  ];
  const scored = { outputs: { outputs }, firstRow: 1, rows: 2 } as unknown as ScoredRows; // what the writer looks at

  function written(id: string, wanted: readonly WireOutput[]) {
    const plan = planInferResponse(responseHead('m', '7'), id, 'prd_1', scored, wanted);
    const bytes = Buffer.alloc(plan.sizeBytes + 2);
    expect(plan.write(bytes, 1)).toBe(plan.sizeBytes + 1);
    return fromBinary(ModelInferResponseSchema, bytes.subarray(1, -1));
  }

  test('has its rows, raw, with every bit', () => {
    const response = written('id 1', []);
    expect(response).toMatchObject({ modelName: 'm', modelVersion: '7', id: 'id 1' });
    expect(response.parameters.prediction_id?.parameterChoice).toEqual({ case: 'stringParam', value: 'prd_1' });
    expect(response.outputs.map(({ name, datatype, shape }) => [name, datatype, shape])).toEqual([
      ['p', 'FP32', [2n, 2n]],
      ['n', 'INT64', [2n, 1n]],
      ['b', 'BOOL', [2n]],
      ['t', 'BYTES', [2n]],
    ]);
    expect(response.rawOutputContents.map((data) => Buffer.from(data).toString('hex'))).toEqual([
      Buffer.from(bytesOf(Float32Array.of(3, Number.NaN, 5, 6))).toString('hex'),
      Buffer.from(bytesOf(BigInt64Array.of(BIG, -BIG))).toString('hex'),
      '0100',
      '02000000c3a900000000',
    ]);
  });

  test('has the outputs that are wanted, in their order, and no id where there was none', () => {
    const response = written(
      '',
      ['t', 'p'].map((name) => ({ name, classes: undefined })),
    );
    expect(response.outputs.map(({ name }) => name)).toEqual(['t', 'p']);
    expect(response.rawOutputContents).toHaveLength(2);
    expect(response.id).toBe('');
  });

  test('has the classes of highest value where they are asked for, of its own rows and never more than there are', () => {
    const { outputs: described, rawOutputContents } = written('', [
      { name: 'p', classes: 1 },
      { name: 'n', classes: 5 },
      { name: 'b', classes: 0 },
    ]);
    expect(described.map(({ name, datatype, shape }) => [name, datatype, shape])).toEqual([
      ['p', 'BYTES', [2n, 1n]],
      ['n', 'BYTES', [2n, 1n]],
      ['b', 'BOOL', [2n]],
    ]);
    const texts = rawOutputContents.slice(0, 2).map((data) => readBinaryData(Buffer.from(data), 'BYTES', 2));
    expect(texts).toEqual([
      ['3.000000:0', '6.000000:1'],
      [`${BIG}:0`, `${-BIG}:0`],
    ]);
    expect(Buffer.from(rawOutputContents[2] ?? []).toString('hex')).toBe('0100');
  });
});
