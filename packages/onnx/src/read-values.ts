/** Reads the declarations of a model: named values with their types, and tensors without their elements. */
import { AssayError } from '@assay/contracts';
import { elementTypeOf } from './element-types.ts';
import type { Dimension, TensorHeader, ValueInfo, ValueType } from './model.ts';
import { bytesOf, type Field, int64Of, int64sOf, malformed, type ReadBudget, readMessage, textOf } from './protobuf.ts';
import { quote } from './quote.ts';
import {
  CONTAINER_TYPE,
  DATA_LOCATION_EXTERNAL,
  DIMENSION,
  SHAPE,
  SPARSE_TENSOR,
  TENSOR,
  TENSOR_TYPE,
  TYPE,
  VALUE_INFO,
} from './schema.ts';

const TENSOR_HEADER_FIELDS: ReadonlySet<number> = new Set([
  TENSOR.dims,
  TENSOR.dataType,
  TENSOR.name,
  TENSOR.externalData,
  TENSOR.dataLocation,
]);

export function toTensorHeader(bytes: Uint8Array, what: string, budget: ReadBudget): TensorHeader {
  const fields = readMessage(bytes, `a tensor of ${what}`, budget, TENSOR_HEADER_FIELDS);
  const location = all(fields, TENSOR.dataLocation).at(-1);
  return {
    name: lastText(fields, TENSOR.name, what),
    elementType: elementTypeOf(lastNumber(fields, TENSOR.dataType, what) ?? 0),
    dims: int64sOf(all(fields, TENSOR.dims), what),
    external:
      all(fields, TENSOR.externalData).length > 0 ||
      (location !== undefined && int64Of(location, what) === DATA_LOCATION_EXTERNAL),
  };
}

/** A sparse tensor is named by its values, and either part may be in another file. */
export function toSparseHeader(bytes: Uint8Array, what: string, budget: ReadBudget): TensorHeader {
  const fields = readMessage(bytes, `a sparse tensor of ${what}`, budget);
  const part = (number: number): TensorHeader => {
    const field = only(fields, number, what);
    return toTensorHeader(field === undefined ? new Uint8Array() : bytesOf(field, what), what, budget);
  };
  const values = part(SPARSE_TENSOR.values);
  return { ...values, external: values.external || part(SPARSE_TENSOR.indices).external };
}

export function toValueInfo(field: Field, what: string, budget: ReadBudget): ValueInfo {
  const fields = readMessage(bytesOf(field, what), `a value of ${what}`, budget);
  const name = lastText(fields, VALUE_INFO.name, what);
  const place = `value ${quote(name)}`;
  const type = only(fields, VALUE_INFO.type, place);
  return {
    field,
    name,
    type: type === undefined ? { kind: 'unknown' } : toValueType(bytesOf(type, place), place, budget, 0),
  };
}

function toValueType(bytes: Uint8Array, what: string, budget: ReadBudget, depth: number): ValueType {
  if (depth > budget.maxDepth) throw unprocessable(`the type of ${what} is nested more than ${budget.maxDepth} deep`);
  const members = readMessage(bytes, `the type of ${what}`, budget).filter((field) => field.number !== TYPE.denotation);
  const member = members[0];
  if (member === undefined) return { kind: 'unknown' };
  if (members.length > 1) throw malformed(what, member.start, 'it has more than one type');
  const content = bytesOf(member, what);
  switch (member.number) {
    case TYPE.tensor:
    case TYPE.sparseTensor: {
      const fields = readMessage(content, `the type of ${what}`, budget);
      const shape = only(fields, TENSOR_TYPE.shape, what);
      return {
        kind: member.number === TYPE.tensor ? 'tensor' : 'sparse-tensor',
        elementType: elementTypeOf(lastNumber(fields, TENSOR_TYPE.elementType, what) ?? 0),
        dims: shape === undefined ? undefined : toDims(bytesOf(shape, what), what, budget),
      };
    }
    case TYPE.sequence:
    case TYPE.optional: {
      const element = only(readMessage(content, `the type of ${what}`, budget), CONTAINER_TYPE.elementType, what);
      return {
        kind: member.number === TYPE.sequence ? 'sequence' : 'optional',
        element:
          element === undefined ? { kind: 'unknown' } : toValueType(bytesOf(element, what), what, budget, depth + 1),
      };
    }
    case TYPE.map:
      return { kind: 'map' };
    case TYPE.opaque:
      return { kind: 'opaque' };
    default:
      return { kind: 'unknown' };
  }
}

function toDims(bytes: Uint8Array, what: string, budget: ReadBudget): Dimension[] {
  return all(readMessage(bytes, `the shape of ${what}`, budget), SHAPE.dimension).map((field) => {
    const members = readMessage(bytesOf(field, what), `a dimension of ${what}`, budget);
    const member = members.findLast(({ number }) => number === DIMENSION.value || number === DIMENSION.parameter);
    if (member === undefined) return null;
    if (member.number === DIMENSION.parameter) return textOf(member, what) || null;
    const value = int64Of(member, what);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(what, member.start, `a dimension of ${value}`);
    return value < 0n ? null : Number(value);
  });
}

export function all(fields: readonly Field[], ...numbers: readonly number[]): Field[] {
  return fields.filter((field) => numbers.includes(field.number));
}

/** A message that may stand once. Protobuf merges one that stands twice, which no honest writer does. */
export function only(fields: readonly Field[], number: number, what: string): Field | undefined {
  const [field, second] = all(fields, number);
  if (second !== undefined) throw malformed(what, second.start, `field ${number} stands twice`);
  return field;
}

export function lastText(fields: readonly Field[], number: number, what: string): string {
  const field = fields.findLast((candidate) => candidate.number === number);
  return field === undefined ? '' : textOf(field, what);
}

export function lastNumber(fields: readonly Field[], number: number, what: string): number | undefined {
  const field = fields.findLast((candidate) => candidate.number === number);
  return field === undefined ? undefined : Number(int64Of(field, what));
}

export function unprocessable(message: string): AssayError {
  return new AssayError('UNPROCESSABLE_MODEL', message);
}
