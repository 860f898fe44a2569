/** Tensors to write: constants and initializers. */
import { AssayError } from '@assay/contracts';
import { ELEMENT_TYPE_CODES } from './element-types.ts';
import { bytesField, type Field, int64Field, int64sField, littleEndian, textField } from './protobuf.ts';
import { TENSOR } from './schema.ts';

export type Tensor =
  | { readonly elementType: 'float32'; readonly dims: readonly number[]; readonly data: Float32Array }
  | { readonly elementType: 'float64'; readonly dims: readonly number[]; readonly data: Float64Array }
  | { readonly elementType: 'int64'; readonly dims: readonly number[]; readonly data: BigInt64Array }
  /** A bool is a byte, 0 or 1. */
  | { readonly elementType: 'uint8' | 'bool'; readonly dims: readonly number[]; readonly data: Uint8Array }
  | { readonly elementType: 'string'; readonly dims: readonly number[]; readonly data: readonly string[] };

/** @param dims default: a vector */
export function float32Tensor(values: ArrayLike<number>, dims = [values.length]): Tensor {
  return { elementType: 'float32', dims, data: Float32Array.from(values) };
}

export function float64Tensor(values: ArrayLike<number>, dims = [values.length]): Tensor {
  return { elementType: 'float64', dims, data: Float64Array.from(values) };
}

export function int64Tensor(values: readonly (number | bigint)[], dims = [values.length]): Tensor {
  return { elementType: 'int64', dims, data: BigInt64Array.from(values, BigInt) };
}

export function uint8Tensor(values: ArrayLike<number>, dims = [values.length]): Tensor {
  return { elementType: 'uint8', dims, data: Uint8Array.from(values) };
}

export function boolTensor(values: readonly boolean[], dims = [values.length]): Tensor {
  return { elementType: 'bool', dims, data: Uint8Array.from(values, Number) };
}

export function stringTensor(values: readonly string[], dims = [values.length]): Tensor {
  return { elementType: 'string', dims, data: values };
}

/** The fields of a TensorProto. */
export function tensorFields(name: string, tensor: Tensor): Field[] {
  const size = tensor.dims.reduce((product, dimension) => product * dimension, 1);
  if (size !== tensor.data.length) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `tensor "${name}" of shape [${tensor.dims.join(', ')}] needs ${size} elements and has ${tensor.data.length}`,
    );
  }
  return [
    int64sField(TENSOR.dims, tensor.dims),
    int64Field(TENSOR.dataType, ELEMENT_TYPE_CODES[tensor.elementType]),
    ...(tensor.elementType === 'string'
      ? tensor.data.map((text) => textField(TENSOR.stringData, text))
      : [bytesField(TENSOR.rawData, littleEndian(tensor.data))]),
    ...(name === '' ? [] : [textField(TENSOR.name, name)]),
  ];
}
