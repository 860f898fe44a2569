/**
 * An inference request in JSON → tensors by feature. What JSON can get wrong on the way is checked here: shapes before
 * they are multiplied, nesting before it is followed, ragged lists, numbers that are not of their datatype. Whether the
 * values are what the signature allows is the encoder's to say.
 * https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 */
import { AssayError, type ErrorDetail, type Feature, nearest, type Signature } from '@assay/contracts';
import type { InputTensor } from '@assay/scoring';
import { type Datatype, INTEGER_BOUNDS, TAKEN } from './datatypes.ts';

export interface InferRequest {
  readonly id: string | undefined;
  readonly inputs: readonly InputTensor[];
  /** The outputs asked for, in their order; undefined when all are. */
  readonly outputs: readonly string[] | undefined;
}

const MAX_RANK = 8;
const MAX_DETAILS = 20;
const MAX_ID_LENGTH = 1024;
const REQUEST_KEYS = ['id', 'parameters', 'inputs', 'outputs', 'model_name', 'model_version'];
const INPUT_KEYS = ['name', 'shape', 'datatype', 'parameters', 'data'];
const OUTPUT_KEYS = ['name', 'parameters'];

type Fields = Readonly<Record<string, unknown>>;

/** @throws INVALID_ARGUMENT with the places; PAYLOAD_TOO_LARGE for more than `maxRows` rows */
export function readInferRequest(body: unknown, signature: Signature, maxRows: number): InferRequest {
  const request = readObject(body, 'body', REQUEST_KEYS);
  const { id, inputs, outputs } = request;
  if (id !== undefined && id !== null && (typeof id !== 'string' || id.length > MAX_ID_LENGTH)) {
    throw wrong('id', `must be a string of at most ${MAX_ID_LENGTH} characters`);
  }
  if (!Array.isArray(inputs) || inputs.length === 0) throw wrong('inputs', 'must be a list with at least one tensor');
  if (inputs.length > signature.features.length) {
    throw wrong('inputs', `has ${inputs.length} tensors; the model takes ${signature.features.length}`);
  }
  const seen = new Set<string>();
  return {
    id: id ?? undefined,
    inputs: inputs.map((input, i) => {
      const tensor = readInput(input, `inputs[${i}]`, signature, maxRows);
      if (seen.has(tensor.name)) throw wrong(`inputs[${i}].name`, `"${tensor.name}" is given twice`);
      seen.add(tensor.name);
      return tensor;
    }),
    outputs: readOutputs(outputs, signature),
  };
}

function readInput(value: unknown, place: string, signature: Signature, maxRows: number): InputTensor {
  const input = readObject(value, place, INPUT_KEYS);
  const feature = findFeature(input.name, `${place}.name`, signature);
  const datatype = checkDatatype(input.datatype, feature, `${place}.datatype`);
  if (hasParameter(input.parameters, 'binary_data_size')) throw binaryRefused(`${place}.parameters`);
  const shape = readShape(input.shape, `${place}.shape`);
  const [rows = 0] = shape;
  if (rows > maxRows) {
    throw new AssayError('PAYLOAD_TOO_LARGE', `${place}.shape: ${rows} rows; one request may have ${maxRows}`);
  }
  checkAgainstFeature(shape, feature, `${place}.shape`);
  if (!Array.isArray(input.data)) throw wrong(`${place}.data`, 'must be a list');
  const flat = flatten(input.data, shape, `${place}.data`);
  return { name: feature.name, dtype: feature.dtype, shape, data: convert(flat, datatype, `${place}.data`) };
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

function readOutputs(value: unknown, signature: Signature): string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw wrong('outputs', 'must be a list');
  if (value.length === 0) return undefined;
  const known = signature.outputs.map((output) => output.name);
  if (value.length > known.length) throw wrong('outputs', `asks for ${value.length}; the model has ${known.length}`);
  const names = value.map((one: unknown, i) => {
    const { name, parameters } = readObject(one, `outputs[${i}]`, OUTPUT_KEYS);
    if (typeof name !== 'string' || !known.includes(name)) {
      throw wrong(`outputs[${i}].name`, `the model has no output ${quote(name)}`, `one of ${known.join(', ')}`);
    }
    if (hasParameter(parameters, 'classification')) {
      throw wrong(`outputs[${i}].parameters`, 'the classification extension is not supported; leave it out');
    }
    return name;
  });
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw wrong('outputs', `asks for "${twice}" twice`);
  return names;
}

function readObject(value: unknown, place: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(place, 'must be an object');
  const fields = value as Fields; // any object may be read by key; what is not there is undefined
  for (const key in fields) {
    if (!known.includes(key)) {
      const suggestion = nearest(key.slice(0, 64), known);
      const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
      throw wrong(place, `unknown key ${quote(key)}${hint}`, `one of ${known.join(', ')}`);
    }
  }
  return fields;
}

/** Whether the parameter is there with another value than false, null or 0. */
function hasParameter(parameters: unknown, name: string): boolean {
  if (typeof parameters !== 'object' || parameters === null) return false;
  return Object.hasOwn(parameters, name) && Boolean((parameters as Fields)[name]); // an object may be read by key
}

export function binaryRefused(place: string): AssayError {
  return new AssayError(
    'UNSUPPORTED_MEDIA_TYPE',
    `${place}: binary tensors are not supported; send JSON data (tritonclient: set_data_from_numpy(…, binary_data=False))`,
  );
}

function wrong(place: string, message: string, expected?: string): AssayError {
  return wrongPlaces([{ place, message, ...(expected === undefined ? {} : { expected }) }]);
}

function wrongPlaces(details: readonly ErrorDetail[]): AssayError {
  const [first] = details;
  const expected = first?.expected === undefined ? '' : `; expected ${first.expected}`;
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  return new AssayError('INVALID_ARGUMENT', `${first?.place}: ${first?.message}${expected}${more}`, { details });
}

function quote(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'bigint') return value.toString().slice(0, 40);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
