/**
 * Protocol Buffers' wire format, without a schema and without loss: a message is the list of its fields, each a slice
 * of the bytes it was read from, so that what is not touched is written back byte for byte, unknown fields and unusual
 * encodings included. Rules: https://protobuf.dev/programming-guides/encoding/
 */
import { AssayError } from '@assay/contracts';

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;
export type WireType = typeof VARINT | typeof FIXED64 | typeof BYTES | typeof FIXED32;

/** One field where it stands: `source[start, end)` is the whole of it, `source[valueStart, end)` its value. */
export interface Field {
  readonly number: number;
  readonly wireType: WireType;
  readonly source: Uint8Array;
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

/** How much of a hostile file is looked at. One budget serves a whole file. */
export interface ReadBudget {
  /** Fields that may still be kept in memory; a kept field costs some 60 bytes. */
  fieldsLeft: number;
  /** Messages within messages; protobuf's own readers stop at 100. */
  readonly maxDepth: number;
}

const MAX_FIELD_NUMBER = 2 ** 29 - 1;
const MAX_VARINT_BYTES = 10;

/** What is wrong with the bytes, and where in their message. */
export function malformed(what: string, offset: number, problem: string): AssayError {
  return new AssayError(
    'UNPROCESSABLE_MODEL',
    `${what} is not valid protobuf at its byte ${offset}: ${problem}; the file is damaged or is no ONNX model`,
  );
}

/**
 * The fields of a message in their order.
 * @param what names the message in errors
 * @param keep which field numbers are wanted; the others are checked and passed over
 * @throws AssayError UNPROCESSABLE_MODEL when the bytes are cut short or are no protobuf
 */
export function readMessage(bytes: Uint8Array, what: string, budget: ReadBudget, keep?: ReadonlySet<number>): Field[] {
  const fields: Field[] = [];
  let position = 0;
  while (position < bytes.length) {
    const start = position;
    const valueStart = endOfVarint(bytes, start, what);
    const tag = smallVarint(bytes, start, valueStart);
    const number = Math.floor(tag / 8);
    if (number < 1 || number > MAX_FIELD_NUMBER) throw malformed(what, start, `there is no field number ${number}`);
    const wireType = tag % 8;
    const value = locateValue(bytes, valueStart, wireType, what);
    position = value.end;
    if (keep !== undefined && !keep.has(number)) continue;
    budget.fieldsLeft -= 1;
    if (budget.fieldsLeft < 0) {
      throw new AssayError('UNPROCESSABLE_MODEL', `${what} holds more fields than a model may have`);
    }
    fields.push({ number, wireType: value.wireType, source: bytes, start, valueStart: value.start, end: value.end });
  }
  return fields;
}

function locateValue(
  bytes: Uint8Array,
  start: number,
  wireType: number,
  what: string,
): { wireType: WireType; start: number; end: number } {
  switch (wireType) {
    case VARINT:
      return { wireType, start, end: endOfVarint(bytes, start, what) };
    case FIXED64:
      return { wireType, start, end: within(bytes, start, 8, what) };
    case FIXED32:
      return { wireType, start, end: within(bytes, start, 4, what) };
    case BYTES: {
      const contentStart = endOfVarint(bytes, start, what);
      const length = smallVarint(bytes, start, contentStart);
      return { wireType, start: contentStart, end: within(bytes, contentStart, length, what) };
    }
    default:
      throw malformed(what, start, `wire type ${wireType} is not used by ONNX`);
  }
}

function within(bytes: Uint8Array, start: number, length: number, what: string): number {
  if (length > bytes.length - start) {
    throw malformed(what, start, `${length} bytes are announced and ${bytes.length - start} are left`);
  }
  return start + length;
}

function endOfVarint(bytes: Uint8Array, start: number, what: string): number {
  for (let position = start; position < start + MAX_VARINT_BYTES; position++) {
    const byte = bytes[position];
    if (byte === undefined) throw malformed(what, start, 'it ends inside a number');
    if (byte < 128) return position + 1;
  }
  throw malformed(what, start, 'a number is longer than ten bytes');
}

/** A varint as a double: exact up to 2^53, and large enough to be refused beyond. */
function smallVarint(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let position = end - 1; position >= start; position--) value = value * 128 + ((bytes[position] ?? 0) & 127);
  return value;
}

function unsignedVarint(bytes: Uint8Array, start: number, end: number): bigint {
  const small = smallVarint(bytes, start, end);
  if (small <= Number.MAX_SAFE_INTEGER) return BigInt(small);
  let value = 0n;
  for (let position = end - 1; position >= start; position--) {
    value = (value << 7n) | BigInt((bytes[position] ?? 0) & 127);
  }
  return BigInt.asUintN(64, value);
}

/** The bytes of the message: each field as it stands. */
export function writeMessage(fields: readonly Field[]): Uint8Array {
  const bytes = new Uint8Array(fields.reduce((total, field) => total + field.end - field.start, 0));
  let position = 0;
  for (const field of fields) {
    bytes.set(field.source.subarray(field.start, field.end), position);
    position += field.end - field.start;
  }
  return bytes;
}

function expectWireType(field: Field, wireType: WireType, what: string): void {
  if (field.wireType !== wireType) {
    throw malformed(what, field.start, `field ${field.number} has wire type ${field.wireType}, not ${wireType}`);
  }
}

/** The content of a string, bytes or message field; a view, not a copy. */
export function bytesOf(field: Field, what: string): Uint8Array {
  expectWireType(field, BYTES, what);
  return field.source.subarray(field.valueStart, field.end);
}

// ignoreBOM: a name that begins with U+FEFF is another name.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as text. @throws AssayError UNPROCESSABLE_MODEL when they are not UTF-8 */
export function decodeText(bytes: Uint8Array, what: string): string {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new AssayError('UNPROCESSABLE_MODEL', `${what} holds a text that is not UTF-8`, { cause: error });
  }
}

export function textOf(field: Field, what: string): string {
  return decodeText(bytesOf(field, what), what);
}

/** A signed 64-bit number, exact. */
export function int64Of(field: Field, what: string): bigint {
  expectWireType(field, VARINT, what);
  return BigInt.asIntN(64, unsignedVarint(field.source, field.valueStart, field.end));
}

export function float32Of(field: Field, what: string): number {
  expectWireType(field, FIXED32, what);
  return viewOf(field).getFloat32(0, true);
}

function viewOf(field: Field): DataView {
  return new DataView(field.source.buffer, field.source.byteOffset + field.valueStart, field.end - field.valueStart);
}

/** A repeated 64-bit number, whether written packed or one by one: readers must take both. */
export function int64sOf(fields: readonly Field[], what: string): bigint[] {
  const values: bigint[] = [];
  for (const field of fields) {
    if (field.wireType === VARINT) {
      values.push(int64Of(field, what));
      continue;
    }
    const packed = bytesOf(field, what);
    for (let position = 0; position < packed.length; ) {
      const end = endOfVarint(packed, position, what);
      values.push(BigInt.asIntN(64, unsignedVarint(packed, position, end)));
      position = end;
    }
  }
  return values;
}

/** A repeated float, packed or one by one. */
export function float32sOf(fields: readonly Field[], what: string): number[] {
  const values: number[] = [];
  for (const field of fields) {
    if (field.wireType === FIXED32) {
      values.push(float32Of(field, what));
      continue;
    }
    expectWireType(field, BYTES, what);
    const packed = viewOf(field);
    if (packed.byteLength % 4 !== 0) throw malformed(what, field.start, 'a list of floats ends inside a float');
    for (let offset = 0; offset < packed.byteLength; offset += 4) values.push(packed.getFloat32(offset, true));
  }
  return values;
}

const encoder = new TextEncoder();

function field(number: number, wireType: WireType, value: Uint8Array): Field {
  const head = [...varint(number * 8 + wireType), ...(wireType === BYTES ? varint(value.length) : [])];
  const source = new Uint8Array(head.length + value.length);
  source.set(head);
  source.set(value, head.length);
  return { number, wireType, source, start: 0, valueStart: head.length, end: source.length };
}

/** The shortest encoding; a negative number takes ten bytes, as protobuf's int64 has it. */
function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) {
    let rest = value;
    for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
    bytes.push(rest);
    return bytes;
  }
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return bytes;
}

export function bytesField(number: number, value: Uint8Array): Field {
  return field(number, BYTES, value);
}

export function textField(number: number, value: string): Field {
  return field(number, BYTES, encoder.encode(value));
}

export function messageField(number: number, fields: readonly Field[]): Field {
  return field(number, BYTES, writeMessage(fields));
}

export function int64Field(number: number, value: number | bigint): Field {
  return field(number, VARINT, Uint8Array.from(varint(value)));
}

export function float32Field(number: number, value: number): Field {
  return field(number, FIXED32, littleEndian(Float32Array.of(value)));
}

/** A repeated 64-bit number, packed. */
export function int64sField(number: number, values: ArrayLike<number | bigint>): Field {
  const packed: number[] = [];
  for (let i = 0; i < values.length; i++) {
    for (const byte of varint(values[i] ?? 0)) packed.push(byte);
  }
  return field(number, BYTES, Uint8Array.from(packed));
}

/** A repeated float, packed. */
export function float32sField(number: number, values: ArrayLike<number>): Field {
  return field(number, BYTES, littleEndian(Float32Array.from(values)));
}

const hostIsLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The elements as protobuf and ONNX's `raw_data` want them. A copy. */
export function littleEndian(
  values: Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
  if (!hostIsLittleEndian && values.BYTES_PER_ELEMENT > 1) {
    for (let i = 0; i < bytes.length; i += values.BYTES_PER_ELEMENT) {
      bytes.subarray(i, i + values.BYTES_PER_ELEMENT).reverse();
    }
  }
  return bytes;
}
