/** The typed attributes of a node: read from a foreign model, and written by the graph builder. */
import { AssayError } from '@assay/contracts';
import { ELEMENT_TYPE_CODES, type ElementType } from './element-types.ts';
import type { Attribute, Node } from './model.ts';
import {
  bytesField,
  bytesOf,
  decodeText,
  type Field,
  float32Field,
  float32Of,
  float32sField,
  float32sOf,
  int64Field,
  int64Of,
  int64sField,
  int64sOf,
  messageField,
  readMessage,
  textField,
} from './protobuf.ts';
import { quote } from './quote.ts';
import { ATTRIBUTE, ATTRIBUTE_TYPE, TENSOR } from './schema.ts';
import { type Tensor, tensorFields } from './tensors.ts';

/** A value to write as an attribute. `floats` are 32-bit, as ONNX has them: doubles go into a tensor. */
export type AttributeValue =
  | { readonly type: 'int'; readonly value: number | bigint }
  | { readonly type: 'ints'; readonly value: ArrayLike<number | bigint> }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'floats'; readonly value: ArrayLike<number> }
  | { readonly type: 'string'; readonly value: string }
  /** A string that is no text, which ONNX's strings may be. */
  | { readonly type: 'bytes'; readonly value: Uint8Array }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'tensor'; readonly value: Tensor };

export const int = (value: number | bigint): AttributeValue => ({ type: 'int', value });
export const ints = (value: ArrayLike<number | bigint>): AttributeValue => ({ type: 'ints', value });
export const float = (value: number): AttributeValue => ({ type: 'float', value });
export const floats = (value: ArrayLike<number>): AttributeValue => ({ type: 'floats', value });
export const string = (value: string): AttributeValue => ({ type: 'string', value });
export const strings = (value: readonly string[]): AttributeValue => ({ type: 'strings', value });
export const tensor = (value: Tensor): AttributeValue => ({ type: 'tensor', value });
/** An element type, as `Cast` wants it in `to`. */
export const elementType = (value: ElementType): AttributeValue => int(ELEMENT_TYPE_CODES[value]);

export function attributeFields(name: string, attribute: AttributeValue): Field[] {
  return [
    textField(ATTRIBUTE.name, name),
    ...valueFields(attribute),
    int64Field(ATTRIBUTE.type, ATTRIBUTE_TYPE[attribute.type === 'bytes' ? 'string' : attribute.type]),
  ];
}

function valueFields(attribute: AttributeValue): Field[] {
  switch (attribute.type) {
    case 'int':
      return [int64Field(ATTRIBUTE.int, attribute.value)];
    case 'ints':
      return [int64sField(ATTRIBUTE.ints, attribute.value)];
    case 'float':
      return [float32Field(ATTRIBUTE.float, attribute.value)];
    case 'floats':
      return [float32sField(ATTRIBUTE.floats, attribute.value)];
    case 'string':
      return [textField(ATTRIBUTE.string, attribute.value)];
    case 'bytes':
      return [bytesField(ATTRIBUTE.string, attribute.value)];
    case 'strings':
      return attribute.value.map((text) => textField(ATTRIBUTE.strings, text));
    case 'tensor':
      return [messageField(ATTRIBUTE.tensor, tensorFields('', attribute.value))];
  }
}

/** The attribute of that name; undefined when the node does not set it. */
export function findAttribute(node: Node, name: string): Attribute | undefined {
  return node.attributes.findLast((attribute) => attribute.name === name);
}

/** @throws AssayError UNPROCESSABLE_MODEL when the attribute is of another type */
export function intOf(attribute: Attribute): bigint {
  return int64Of(lastField(attribute, ATTRIBUTE.int, 'an int'), attribute.name);
}

export function floatOf(attribute: Attribute): number {
  return float32Of(lastField(attribute, ATTRIBUTE.float, 'a float'), attribute.name);
}

export function stringOf(attribute: Attribute): string {
  return decodeText(bytesAttributeOf(attribute), attribute.name);
}

/** A view, not a copy. */
export function bytesAttributeOf(attribute: Attribute): Uint8Array {
  return bytesOf(lastField(attribute, ATTRIBUTE.string, 'a string'), attribute.name);
}

export function intsOf(attribute: Attribute): bigint[] {
  return int64sOf(fieldsOf(attribute, ATTRIBUTE.ints), attribute.name);
}

export function floatsOf(attribute: Attribute): number[] {
  return float32sOf(fieldsOf(attribute, ATTRIBUTE.floats), attribute.name);
}

export function stringsOf(attribute: Attribute): string[] {
  return fieldsOf(attribute, ATTRIBUTE.strings).map((field) =>
    decodeText(bytesOf(field, attribute.name), attribute.name),
  );
}

/** The elements of a tensor of doubles; undefined when it is none, or its elements are not stored as raw bytes. */
export function float64sOf(attribute: Attribute): Float64Array | undefined {
  const raw = rawTensorOf(attribute, 'float64');
  // A copy of its own: a view of doubles must begin at a multiple of 8.
  return raw === undefined || raw.length % 8 !== 0 ? undefined : new Float64Array(new Uint8Array(raw).buffer);
}

/** As `float64sOf`, of a tensor of bytes. */
export function uint8sOf(attribute: Attribute): Uint8Array | undefined {
  return rawTensorOf(attribute, 'uint8');
}

/** ONNX stores raw elements little-endian, as typed arrays of every machine that Node runs on are. */
function rawTensorOf(attribute: Attribute, elementType: ElementType): Uint8Array | undefined {
  const bytes = bytesOf(lastField(attribute, ATTRIBUTE.tensor, 'a tensor'), attribute.name);
  const budget = { fieldsLeft: MAX_ELEMENTS, maxDepth: 0 };
  const fields = readMessage(bytes, `attribute ${quote(attribute.name)}`, budget);
  const last = (number: number): Field | undefined => fields.findLast((field) => field.number === number);
  const [type, raw] = [last(TENSOR.dataType), last(TENSOR.rawData)];
  if (type === undefined || raw === undefined) return undefined;
  return Number(int64Of(type, attribute.name)) === ELEMENT_TYPE_CODES[elementType]
    ? bytesOf(raw, attribute.name)
    : undefined;
}

/** More elements than any attribute that Assay reads; ensembles with larger lists are never read back. */
const MAX_ELEMENTS = 4_000_000;

function fieldsOf(attribute: Attribute, number: number): Field[] {
  const budget = { fieldsLeft: MAX_ELEMENTS, maxDepth: 0 };
  return readMessage(attribute.bytes, `attribute ${quote(attribute.name)}`, budget, new Set([number]));
}

function lastField(attribute: Attribute, number: number, type: string): Field {
  const field = fieldsOf(attribute, number).at(-1);
  if (field === undefined)
    throw new AssayError('UNPROCESSABLE_MODEL', `attribute ${quote(attribute.name)} is not ${type}`);
  return field;
}
