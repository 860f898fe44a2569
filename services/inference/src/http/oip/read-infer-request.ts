/**
 * An inference request in JSON → tensors by feature. What JSON can get wrong on the way is checked here: shapes before
 * they are multiplied, nesting before it is followed, ragged lists, numbers that are not of their datatype. Whether the
 * values are what the signature allows is the encoder's to say.
 * https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 */
import { AssayError, type ErrorDetail, elementCount, type Feature, nearest, type Signature } from '@assay/contracts';
import type { InputTensor, TensorData } from '@assay/scoring';
import { BadBytes, bytesOf, readBinaryData } from './binary-data.ts';
import { DATATYPE_OF, type Datatype, INTEGER_BOUNDS, TAKEN } from './datatypes.ts';
import { parameterOf, quote, readFlag, readObject, wrong, wrongPlaces } from './places.ts';
import { type RequestedOutput, readOutputs } from './read-outputs.ts';

export interface InferRequest {
  readonly id: string | undefined;
  readonly inputs: readonly InputTensor[];
  /** Those asked for, in their order. */
  readonly outputs: readonly RequestedOutput[];
}

const MAX_RANK = 8;
const MAX_DETAILS = 20;
const MAX_ID_LENGTH = 1024;
const REQUEST_KEYS = ['id', 'parameters', 'inputs', 'outputs', 'model_name', 'model_version'];
const INPUT_KEYS = ['name', 'shape', 'datatype', 'parameters', 'data'];

/**
 * @param binary what is behind the JSON; undefined where the request says nothing of it
 * @throws INVALID_ARGUMENT with the places; PAYLOAD_TOO_LARGE for more than `maxRows` rows
 */
export function readInferRequest(body: unknown, signature: Signature, maxRows: number, binary?: Buffer): InferRequest {
  const request = readObject(body, 'body', REQUEST_KEYS);
  const { id, inputs, outputs, parameters } = request;
  if (id !== undefined && id !== null && (typeof id !== 'string' || id.length > MAX_ID_LENGTH)) {
    throw wrong('id', `must be a string of at most ${MAX_ID_LENGTH} characters`);
  }
  if (!Array.isArray(inputs) || inputs.length === 0) throw wrong('inputs', 'must be a list with at least one tensor');
  if (inputs.length > signature.features.length) {
    throw wrong('inputs', `has ${inputs.length} tensors; the model takes ${signature.features.length}`);
  }
  const seen = new Set<string>();
  const section = new BinarySection(binary);
  const tensors = inputs.map((input, i) => {
    const tensor = readInput(input, `inputs[${i}]`, signature, maxRows, section);
    if (seen.has(tensor.name)) throw wrong(`inputs[${i}].name`, `"${tensor.name}" is given twice`);
    seen.add(tensor.name);
    return tensor;
  });
  section.checkEnd();
  const isBinary = readFlag(parameters, 'binary_data_output', 'parameters') ?? false;
  return { id: id ?? undefined, inputs: tensors, outputs: readOutputs(outputs, signature, isBinary) };
}

/** A request that is nothing but the bytes of the one input: its shape follows from their number. */
export function readRawRequest(binary: Buffer, signature: Signature, maxRows: number): InferRequest {
  const [feature, ...others] = signature.features;
  if (feature === undefined || others.length > 0) {
    throw wrong('body', `is raw bytes, which only a model of one input takes; this one has ${others.length + 1}`);
  }
  const datatype = DATATYPE_OF[feature.dtype];
  // Of texts there may be any number; a row of them is what raw bytes can say.
  const rowBytes = datatype === 'BYTES' ? binary.length : bytesOf(datatype, elementCount(feature.shape));
  const rows = rowBytes === 0 ? 0 : binary.length / rowBytes;
  if (!Number.isInteger(rows) || rows < 1) {
    throw wrong('body', `has ${binary.length} bytes; a row of input "${feature.name}" has ${rowBytes}`);
  }
  checkRows(rows, maxRows, 'body');
  const shape = [rows, ...feature.shape];
  const data = readBytes(binary, datatype, feature, shape, 'body');
  return {
    id: undefined,
    inputs: [{ name: feature.name, dtype: feature.dtype, shape, data }],
    outputs: readOutputs(undefined, signature, true),
  };
}

/** The bytes behind the JSON, which the inputs take in their order. */
class BinarySection {
  readonly #bytes: Buffer | undefined;
  #at = 0;

  constructor(bytes: Buffer | undefined) {
    this.#bytes = bytes;
  }

  take(size: unknown, place: string): Buffer {
    if (this.#bytes === undefined) {
      throw wrong(place, 'says that bytes follow, and the header Inference-Header-Content-Length does not say where');
    }
    const left = this.#bytes.length - this.#at;
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || size > left) {
      throw wrong(place, `${quote(size)} is no number of the ${left} bytes that are left behind the JSON`);
    }
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }

  checkEnd(): void {
    const left = (this.#bytes?.length ?? 0) - this.#at;
    if (left > 0) throw wrong('body', `has ${left} bytes behind the JSON that are no input's`);
  }
}

function readInput(
  value: unknown,
  place: string,
  signature: Signature,
  maxRows: number,
  section: BinarySection,
): InputTensor {
  const input = readObject(value, place, INPUT_KEYS);
  const feature = findFeature(input.name, `${place}.name`, signature);
  const datatype = checkDatatype(input.datatype, feature, `${place}.datatype`);
  const shape = readShape(input.shape, `${place}.shape`);
  const [rows = 0] = shape;
  checkRows(rows, maxRows, `${place}.shape`);
  checkAgainstFeature(shape, feature, `${place}.shape`);
  const size = parameterOf(input.parameters, 'binary_data_size');
  if (size !== undefined) {
    if (input.data !== undefined) throw wrong(`${place}.data`, 'is given, and binary_data_size too');
    const bytes = section.take(size, `${place}.parameters.binary_data_size`);
    return { name: feature.name, dtype: feature.dtype, shape, data: readBytes(bytes, datatype, feature, shape, place) };
  }
  if (datatype === 'FP16') throw wrong(`${place}.datatype`, 'FP16 has no form in JSON; send it as binary data');
  if (!Array.isArray(input.data)) throw wrong(`${place}.data`, 'must be a list');
  const flat = flatten(input.data, shape, `${place}.data`);
  return { name: feature.name, dtype: feature.dtype, shape, data: convert(flat, datatype, `${place}.data`) };
}

function checkRows(rows: number, maxRows: number, place: string): void {
  if (rows <= maxRows) return;
  throw new AssayError('PAYLOAD_TOO_LARGE', `${place}: ${rows} rows; one request may have ${maxRows}`);
}

/** In the array that the feature's rules take. */
function readBytes(
  bytes: Buffer,
  datatype: Datatype,
  { dtype }: Feature,
  shape: readonly number[],
  place: string,
): TensorData {
  try {
    const data = readBinaryData(bytes, datatype, elementCount(shape));
    // Narrower numbers than the feature's are judged one by one, as they are in JSON; each is exact in its type.
    return datatype === DATATYPE_OF[dtype] || datatype === 'BYTES' ? data : Array.from(data as ArrayLike<number>);
  } catch (error) {
    if (error instanceof BadBytes) throw wrong(place, error.message);
    throw error;
  }
}

const byName = new WeakMap<Signature, Map<string, Feature>>();

function findFeature(name: unknown, place: string, signature: Signature): Feature {
  let features = byName.get(signature);
  if (features === undefined) {
    features = new Map(signature.features.map((feature) => [feature.name, feature]));
    byName.set(signature, features);
  }
  if (typeof name !== 'string') throw wrong(place, 'must be the name of an input');
  const feature = features.get(name);
  if (feature !== undefined) return feature;
  const suggestion = nearest(name.slice(0, 256), features.keys());
  const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
  throw wrong(place, `the model has no input ${quote(name)}${hint}`);
}

function checkDatatype(value: unknown, feature: Feature, place: string): Datatype {
  const taken = TAKEN[feature.dtype];
  const datatype = taken.find((one) => one === value);
  if (datatype !== undefined) return datatype;
  throw wrong(place, `${quote(value)} is not taken for input "${feature.name}"`, `one of ${taken.join(', ')}`);
}

function readShape(value: unknown, place: string): number[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_RANK) {
    throw wrong(place, `must be a list of 1 to ${MAX_RANK} dimensions`);
  }
  return value.map((dimension: unknown, i) => {
    if (typeof dimension === 'number' && Number.isSafeInteger(dimension) && dimension >= 1) return dimension;
    throw wrong(`${place}[${i}]`, `${quote(dimension)} is no dimension`, 'an integer of at least 1');
  });
}

/** Scalars may come as `[rows]` or `[rows, 1]`; every dimension but the first is then one that the signature bounds. */
function checkAgainstFeature(shape: readonly number[], feature: Feature, place: string): void {
  const [, ...rest] = shape;
  const isScalar = feature.shape.length === 0 && (rest.length === 0 || (rest.length === 1 && rest[0] === 1));
  const isVector =
    feature.shape.length > 0 && rest.length === feature.shape.length && rest.every((d, i) => d === feature.shape[i]);
  if (isScalar || isVector) return;
  const expected = feature.shape.length === 0 ? '[rows] or [rows, 1]' : `[rows, ${feature.shape.join(', ')}]`;
  throw wrong(place, `[${shape.join(', ')}] does not fit input "${feature.name}"`, expected);
}

/** Flat data as it is, nested data row by row; `shape` bounds how deep and how long it may be. */
function flatten(data: readonly unknown[], shape: readonly number[], place: string): readonly unknown[] {
  // The dimensions after the first are the signature's and the first is at most the row limit, so this cannot overflow.
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  if (!Array.isArray(data[0])) {
    if (data.length !== count) {
      throw wrong(place, `has ${data.length} elements; the shape [${shape.join(', ')}] has ${count}`);
    }
    return data;
  }
  const flat: unknown[] = [];
  collect(data, shape, 0, place, flat);
  return flat;
}

function collect(
  list: readonly unknown[],
  shape: readonly number[],
  axis: number,
  place: string,
  into: unknown[],
): void {
  const expected = shape[axis] ?? 0;
  if (list.length !== expected) throw wrong(place, `has ${list.length} elements; the shape says ${expected}`);
  if (axis === shape.length - 1) {
    for (const element of list) into.push(element);
    return;
  }
  list.forEach((inner, i) => {
    if (!Array.isArray(inner)) throw wrong(`${place}[${i}]`, `must be a list of ${shape[axis + 1] ?? 0} elements`);
    collect(inner, shape, axis + 1, `${place}[${i}]`, into);
  });
}

/** Holds the elements to their datatype where it is narrower than the feature; the encoder holds the others to theirs. */
function convert(data: readonly unknown[], datatype: Datatype, place: string): readonly unknown[] {
  const bounds = INTEGER_BOUNDS[datatype];
  if (bounds !== undefined) {
    const [min, max] = bounds;
    checkAll(
      data,
      place,
      (element) => typeof element === 'number' && Number.isInteger(element) && element >= min && element <= max,
      `is no ${datatype}`,
      `an integer from ${min} to ${max}`,
    );
    return data;
  }
  if (datatype === 'FP32' || datatype === 'FP64') {
    const isNumber = (element: unknown) => {
      if (element === null) return true;
      const number = typeof element === 'bigint' ? Number(element) : element;
      return typeof number === 'number' && Number.isFinite(datatype === 'FP32' ? Math.fround(number) : number);
    };
    checkAll(data, place, isNumber, `is no ${datatype}`, 'a finite number, or null for a missing value');
    if (datatype === 'FP64' && !data.some((element) => typeof element === 'bigint')) return data;
    return data.map((element) => {
      if (element === null) return null;
      const number = Number(element);
      return datatype === 'FP32' ? Math.fround(number) : number;
    });
  }
  return data;
}

function checkAll(
  data: readonly unknown[],
  place: string,
  isRight: (element: unknown) => boolean,
  message: string,
  expected: string,
): void {
  const details: ErrorDetail[] = [];
  for (let i = 0; i < data.length && details.length < MAX_DETAILS; i++) {
    if (!isRight(data[i])) details.push({ place: `${place}[${i}]`, message: `${quote(data[i])} ${message}`, expected });
  }
  if (details.length > 0) throw wrongPlaces(details);
}
