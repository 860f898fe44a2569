/**
 * The data of one tensor, typed or raw, as the encoder takes it. How many elements there must be is known before they are
 * read, so that a message of a few bytes makes no large array.
 */
import { AssayError, type Dtype } from '@assay/contracts';
import type { TensorData } from '@assay/scoring';
import { BadBytes, readBinaryData } from '../http/oip/binary-data.ts';
import { DATATYPE_OF, type Datatype, INTEGER_BOUNDS } from '../http/oip/datatypes.ts';
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

/** @throws INVALID_ARGUMENT for another number of bytes, or a text that is no UTF-8 */
export function readRawContents(
  bytes: Buffer,
  { from, to }: Range,
  datatype: Datatype,
  dtype: Dtype,
  elements: number,
  place: string,
): TensorData {
  let data: TensorData;
  try {
    data = readBinaryData(bytes.subarray(from, to), datatype, elements);
  } catch (error) {
    if (error instanceof BadBytes) throw wrong(place, error.message);
    throw error;
  }
  // Narrower numbers than the feature's are judged one by one; each is exact in its type.
  return datatype === DATATYPE_OF[dtype] || datatype === 'BYTES' ? data : Array.from(data as ArrayLike<number>);
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
