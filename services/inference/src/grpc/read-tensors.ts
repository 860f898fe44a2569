/** The tensors of an inference request by the signature that they must satisfy. */
import { AssayError, elementCount, type Feature, nearest, type Signature } from '@assay/contracts';
import type { FloatColumn, InputBatch, InputTensor } from '@assay/scoring';
import { DATATYPE_OF, type Datatype, TAKEN } from '../http/oip/datatypes.ts';
import { BYTES, type Range, WireReader } from './protobuf-wire.ts';
import { type WireInferRequest, type WireInput, wrong } from './read-infer-request.ts';
import { readRawContents, readTypedContents } from './tensor-contents.ts';

const featuresByName = new WeakMap<Signature, ReadonlyMap<string, Feature>>();

function featuresOf(signature: Signature): ReadonlyMap<string, Feature> {
  let features = featuresByName.get(signature);
  if (features === undefined) {
    features = new Map(signature.features.map((feature) => [feature.name, feature]));
    featuresByName.set(signature, features);
  }
  return features;
}

/**
 * Puts the rows of a request into the batch.
 * @returns how many
 * @throws INVALID_ARGUMENT with the places; PAYLOAD_TOO_LARGE for more than `maxRows` rows
 */
export function appendRows(
  request: WireInferRequest,
  signature: Signature,
  batch: InputBatch,
  maxRows: number,
): number {
  return (
    copyFloats(request, signature, batch, maxRows) ?? batch.appendTensors(readTensors(request, signature, maxRows))
  );
}

/** @throws as `appendRows`, but for what is the encoder's to check: shapes, values, features that are missing */
export function readTensors(
  { bytes, inputs, raw }: WireInferRequest,
  signature: Signature,
  maxRows: number,
): InputTensor[] {
  const features = featuresOf(signature);
  if (inputs.length > features.size) {
    throw wrong('inputs', `has ${inputs.length} tensors; the model takes ${features.size}`);
  }
  return inputs.map((input, i) => {
    const { name, shape, contents } = input;
    const place = `inputs[${i}]`;
    const feature = features.get(name);
    if (feature === undefined) throw unknownInput(`${place}.name`, name, features);
    const datatype = checkDatatype(input, feature, `${place}.datatype`);
    const [rows = 0] = shape;
    if (rows > maxRows) {
      throw new AssayError('PAYLOAD_TOO_LARGE', `${place}.shape: ${rows} rows; one request may have ${maxRows}`);
    }
    // The rows are bounded and the rest is the signature's, so this cannot overflow. That the shape says so too, the
    // encoder checks.
    const elements = rows * elementCount(feature.shape);
    const { dtype } = feature;
    const range = raw[i];
    if (range !== undefined) {
      const data = readRawContents(bytes, range, datatype, dtype, elements, `raw_input_contents[${i}]`);
      return { name, dtype, shape, data };
    }
    if (contents === undefined) throw wrong(place, 'has no data: neither contents nor an entry in raw_input_contents');
    return { name, dtype, shape, data: readTypedContents(bytes, contents, datatype, elements, `${place}.contents`) };
  });
}

function unknownInput(place: string, name: string, features: ReadonlyMap<string, Feature>): AssayError {
  const shown = JSON.stringify(name.slice(0, 60));
  const suggestion = nearest(name.slice(0, 256), features.keys());
  const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
  return wrong(place, `the model has no input ${shown}${hint}`);
}

function checkDatatype({ name, datatype }: WireInput, { dtype }: Feature, place: string): Datatype {
  const taken = TAKEN[dtype];
  const found = taken.find((one) => one === datatype);
  if (found !== undefined) return found;
  const shown = JSON.stringify(datatype.slice(0, 60));
  throw wrong(place, `${shown} is not taken for input "${name}"`, `one of ${taken.join(', ')}`);
}

/**
 * The short way of a request whose every feature is a tensor of floats of its own width: from bytes into the batch.
 * @returns undefined when it is not such a request, or anything is wrong with it; nothing of it is in the batch then
 */
function copyFloats(
  { bytes, inputs, raw }: WireInferRequest,
  signature: Signature,
  batch: InputBatch,
  maxRows: number,
): number | undefined {
  const features = featuresOf(signature);
  if (inputs.length !== features.size) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let rows: number | undefined;
  for (let i = 0; i < inputs.length; i++) {
    const input = inputs[i];
    const feature = input === undefined ? undefined : features.get(input.name);
    if (input === undefined || feature === undefined || !fits(input, feature)) return undefined;
    const [count = 0] = input.shape;
    if (count < 1 || count > maxRows || count !== (rows ?? count)) return undefined;
    rows = count;
    const range = raw[i] ?? packedFloats(bytes, input, feature);
    const bytesEach = feature.dtype === 'float32' ? 4 : 8;
    if (range === undefined || range.to - range.from !== count * elementCount(feature.shape) * bytesEach)
      return undefined;
    const column = batch.floats(feature.name, count);
    if (column === undefined || !copyColumn(view, range.from, column, count)) return undefined;
  }
  // A name that is given twice leaves another feature unfilled.
  if (rows === undefined || new Set(inputs.map(({ name }) => name)).size !== inputs.length) return undefined;
  return batch.takeFloats(rows, inputs.length) ? rows : undefined;
}

/** A float tensor of the feature's own datatype and shape; a scalar is `[rows]` or `[rows, 1]`. */
function fits({ datatype, shape }: WireInput, feature: Feature): boolean {
  const { dtype } = feature;
  if ((dtype !== 'float32' && dtype !== 'float64') || datatype !== DATATYPE_OF[dtype]) return false;
  if (feature.shape.length === 0) return shape.length === 1 || (shape.length === 2 && shape[1] === 1);
  return shape.length === feature.shape.length + 1 && feature.shape.every((size, i) => shape[i + 1] === size);
}

/** Where packed floats are, when the contents are one packed field and no more, as every encoder writes it. */
function packedFloats(bytes: Buffer, { contents }: WireInput, { dtype }: Feature): Range | undefined {
  if (contents === undefined) return undefined;
  const reader = new WireReader(bytes, contents.from, contents.to);
  if (reader.tag() !== (dtype === 'float32' ? 6 : 7) * 8 + BYTES) return undefined;
  const range = reader.range();
  return reader.isAtEnd ? range : undefined;
}

/** False for a value that needs a closer look: one that is not finite (NaN may be a missing value) or out of range. */
function copyColumn(view: DataView, from: number, column: FloatColumn, rows: number): boolean {
  const { array, isFloat32, stride, width, min, max } = column;
  let at = from;
  for (let row = 0; row < rows; row++) {
    const start = column.at + row * stride;
    for (let i = 0; i < width; i++) {
      const value = isFloat32 ? view.getFloat32(at, true) : view.getFloat64(at, true);
      if (!(value >= min && value <= max && value - value === 0)) return false;
      array[start + i] = value;
      at += isFloat32 ? 4 : 8;
    }
  }
  return true;
}
