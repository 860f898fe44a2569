/**
 * The datatypes of the Open Inference Protocol beside those of a signature. An input may come in any datatype whose every
 * value the feature's own type holds exactly: INT32 for a float64 feature, UINT8 for a float32 one. FP64 for a float32
 * feature is refused: it would be rounded, and the caller could not tell.
 */
import type { Dtype } from '@assay/contracts';

export type Datatype =
  | 'BOOL'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FP16'
  | 'FP32'
  | 'FP64'
  | 'BYTES';

/** What a feature or output of the signature is called on the wire. A timestamp travels as microseconds since 1970. */
export const DATATYPE_OF: Readonly<Record<Dtype, Datatype>> = {
  float32: 'FP32',
  float64: 'FP64',
  int64: 'INT64',
  string: 'BYTES',
  bool: 'BOOL',
  timestamp: 'INT64',
};

const SMALL_INTEGERS: readonly Datatype[] = ['INT8', 'UINT8', 'INT16', 'UINT16'];
const INTEGERS: readonly Datatype[] = [...SMALL_INTEGERS, 'INT32', 'UINT32'];

/** The datatypes that each type of feature takes; the first is its own. */
export const TAKEN: Readonly<Record<Dtype, readonly Datatype[]>> = {
  float32: ['FP32', 'FP16', ...SMALL_INTEGERS],
  float64: ['FP64', 'FP32', 'FP16', ...INTEGERS],
  int64: ['INT64', ...INTEGERS],
  string: ['BYTES'],
  bool: ['BOOL'],
  timestamp: ['INT64'],
};

/** Inclusive bounds of the datatypes narrower than what a feature holds. */
export const INTEGER_BOUNDS: Readonly<Partial<Record<Datatype, readonly [number, number]>>> = {
  INT8: [-128, 127],
  UINT8: [0, 255],
  INT16: [-32_768, 32_767],
  UINT16: [0, 65_535],
  INT32: [-2_147_483_648, 2_147_483_647],
  UINT32: [0, 4_294_967_295],
};
