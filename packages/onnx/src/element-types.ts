/** The element types of ONNX tensors, which of them are served, and how they meet the signature's dtypes. */
import type { Dtype } from '@assay/contracts';

/** TensorProto.DataType; the names are onnxruntime's where it has one. */
export const ELEMENT_TYPE_CODES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
  uint2: 25,
  int2: 26,
  float6e2m3: 27,
  float6e3m2: 28,
} as const;
export type ElementType = keyof typeof ELEMENT_TYPE_CODES;

const NAMES = new Map(
  Object.entries(ELEMENT_TYPE_CODES).map(([name, code]) => [code as number, name as ElementType]), // keys of a constant object
);

/** The name of a TensorProto.DataType; undefined for a code that ONNX does not have. */
export function elementTypeOf(code: number | bigint): ElementType | undefined {
  return NAMES.get(Number(code));
}

/**
 * What may be an input or output of a served graph. An allow-list: onnxruntime-node ends the process when an int4
 * output is run, and cannot make a float16 input on Node 26.
 */
export const SERVED_ELEMENT_TYPES = [
  'float32',
  'float64',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
  'string',
] as const satisfies readonly ElementType[];
export type ServedElementType = (typeof SERVED_ELEMENT_TYPES)[number];

export function isServed(elementType: ElementType | undefined): elementType is ServedElementType {
  return SERVED_ELEMENT_TYPES.some((served) => served === elementType);
}

/** How a feature or output of the signature stands in a graph: a timestamp is int64 microseconds. */
export function elementTypeOfDtype(dtype: Dtype): 'float32' | 'float64' | 'int64' | 'bool' | 'string' {
  return dtype === 'timestamp' ? 'int64' : dtype;
}
