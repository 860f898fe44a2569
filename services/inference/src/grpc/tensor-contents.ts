/**
 * The data of one tensor, typed or raw, as the encoder takes it. How many elements there must be is known before they are
 * read, so that a message of a few bytes makes no large array.
 */
import { endianness } from 'node:os';
import { AssayError, type Dtype } from '@assay/contracts';
import type { TensorData } from '@assay/scoring';
import { type Datatype, INTEGER_BOUNDS } from '../http/oip/datatypes.ts';
import { BYTES, FIXED32, FIXED64, type Range, VARINT, WireReader } from './protobuf-wire.ts';
import { wrong } from './read-infer-request.ts';

/** The field of InferTensorContents that holds a datatype, and how one element of it is encoded. */
const FIELDS: Readonly<Partial<Record<Datatype, readonly [field: number, wireType: number, name: string]>>> = {
  BOOL: [1, VARINT, 'bool_contents'],
  INT8: [2, VARINT, 'int_contents'],
  INT16: [2, VARINT, 'int_contents'],
  INT32: [2, VARINT, 'int_contents'],
  INT64: [3, VARINT, 'int64_contents'],
  UINT8: [4, VARINT, 'uint_contents'],
  UINT16: [4, VARINT, 'uint_contents'],
  UINT32: [4, VARINT, 'uint_contents'],
  UINT64: [5, VARINT, 'uint64_contents'],
  FP32: [6, FIXED32, 'fp32_contents'],
  FP64: [7, FIXED64, 'fp64_contents'],
  BYTES: [8, BYTES, 'bytes_contents'],
};
const FIELD_NAMES = [
  '',
  'bool_contents',
  'int_contents',
  'int64_contents',
  'uint_contents',
  'uint64_contents',
  'fp32_contents',
  'fp64_contents',
  'bytes_contents',
];

/** @throws INVALID_ARGUMENT for another field, another number of elements, or a value that the datatype has not */
export function readTypedContents(
  bytes: Buffer,
  { from, to }: Range,
  datatype: Datatype,
  elements: number,
  place: string,
): unknown[] {
  const expected = FIELDS[datatype];
  if (expected === undefined) throw wrong(place, `${datatype} has no typed contents; send it in raw_input_contents`);
  const [field, wireType, name] = expected;
  const reader = new WireReader(bytes, from, to);
  const values: unknown[] = [];
  const add = (source: WireReader): void => {
    if (values.length >= elements) throw wrong(place, `has more elements than the ${elements} of its shape`);
    values.push(readElement(source, datatype, `${place}.${name}[${values.length}]`));
  };
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    const number = Math.floor(tag / 8);
    if (number !== field) {
      const other = FIELD_NAMES[number];
      if (other !== undefined) throw wrong(`${place}.${other}`, `is given for ${datatype}`, name);
      reader.skip(tag & 7);
    } else if ((tag & 7) === wireType) add(reader);
    else if ((tag & 7) === BYTES) {
      const packed = reader.message();
      while (!packed.isAtEnd) add(packed);
    } else reader.skip(tag & 7);
  }
  return values;
}

function readElement(reader: WireReader, datatype: Datatype, place: string): unknown {
  switch (datatype) {
    case 'BOOL':
      return reader.varint() !== 0;
    case 'INT64':
      return BigInt.asIntN(64, reader.bigVarint());
    case 'UINT64':
      return reader.bigVarint();
    case 'FP32':
      return reader.float32();
    case 'FP64':
      return reader.float64();
    case 'BYTES': {
      const { from, to } = reader.range();
      return utf8(reader.bytes.subarray(from, to), place);
    }
    default: {
      const isUnsigned = datatype.startsWith('U');
      const wide = reader.bigVarint();
      const value = Number(isUnsigned ? BigInt.asUintN(32, wide) : BigInt.asIntN(32, wide));
      const [min, max] = INTEGER_BOUNDS[datatype] ?? [0, 0];
      if (value >= min && value <= max) return value;
      throw wrong(place, `${value} is no ${datatype}`, `an integer from ${min} to ${max}`);
    }
  }
}

const SIZES: Readonly<Partial<Record<Datatype, number>>> = {
  BOOL: 1,
  INT8: 1,
  UINT8: 1,
  INT16: 2,
  UINT16: 2,
  FP16: 2,
  INT32: 4,
  UINT32: 4,
  FP32: 4,
  INT64: 8,
  UINT64: 8,
  FP64: 8,
};

/** @throws INVALID_ARGUMENT for another number of bytes, or a text that is no UTF-8 */
export function readRawContents(
  bytes: Buffer,
  { from, to }: Range,
  datatype: Datatype,
  dtype: Dtype,
  elements: number,
  place: string,
): TensorData {
  if (datatype === 'BYTES') return readRawTexts(bytes, { from, to }, elements, place);
  const size = SIZES[datatype] ?? 0;
  if (to - from !== elements * size) {
    throw wrong(place, `has ${to - from} bytes`, `${elements * size}: ${elements} elements of ${datatype}`);
  }
  // A copy, since the bytes may lie at an odd address.
  const copy = new Uint8Array(bytes.subarray(from, to)).buffer;
  switch (datatype) {
    case 'BOOL':
      return new Uint8Array(copy);
    case 'INT64':
      return new BigInt64Array(copy);
    case 'UINT64':
      return new BigUint64Array(copy);
    case 'FP32':
      return dtype === 'float32' ? new Float32Array(copy) : Array.from(new Float32Array(copy));
    case 'FP64':
      return new Float64Array(copy);
    case 'FP16':
      return Array.from(new Float16Array(copy));
    default: {
      const integers = integersOf(copy, datatype);
      return dtype === 'int64' ? integers : Array.from(integers);
    }
  }
}

function integersOf(
  buffer: ArrayBuffer,
  datatype: Datatype,
): Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array {
  switch (datatype) {
    case 'INT8':
      return new Int8Array(buffer);
    case 'UINT8':
      return new Uint8Array(buffer);
    case 'INT16':
      return new Int16Array(buffer);
    case 'UINT16':
      return new Uint16Array(buffer);
    case 'INT32':
      return new Int32Array(buffer);
    default:
      return new Uint32Array(buffer);
  }
}

/** Each text is its length in four bytes and itself. */
function readRawTexts(bytes: Buffer, { from, to }: Range, elements: number, place: string): string[] {
  const texts: string[] = [];
  let at = from;
  while (at < to) {
    if (texts.length >= elements) throw wrong(place, `has more elements than the ${elements} of its shape`);
    const start = at + 4;
    const end = start <= to ? start + bytes.readUInt32LE(at) : Number.POSITIVE_INFINITY;
    if (end > to) throw wrong(place, `ends within element ${texts.length}`, 'a length of four bytes and as many bytes');
    texts.push(utf8(bytes.subarray(start, end), `${place}[${texts.length}]`));
    at = end;
  }
  return texts;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8(bytes: Uint8Array, place: string): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new AssayError('INVALID_ARGUMENT', `${place}: is not UTF-8`, {
      details: [{ place, message: 'is not UTF-8' }],
      cause,
    });
  }
}

if (endianness() !== 'LE') throw new Error('raw tensors are little-endian, and so must be the machine');
