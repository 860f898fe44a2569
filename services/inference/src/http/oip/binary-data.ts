/**
 * Tensors as bytes: little-endian, row by row, no padding. A BOOL is a byte of 0 or 1; an element of BYTES is its length as
 * four bytes, then as many.
 * https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html
 */
import { isUtf8 } from 'node:buffer';
import { endianness } from 'node:os';
import type { OutputData, OutputTensor, TensorData } from '@assay/scoring';
import type { Datatype } from './datatypes.ts';

if (endianness() !== 'LE') throw new Error('tensors are read as they lie in memory, which must be little-endian');

type Fixed = Exclude<Datatype, 'BYTES'>;

const ELEMENT_BYTES: Readonly<Record<Fixed, number>> = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  FP32: 4,
  FP64: 8,
};

/** Of so many elements. */
export function bytesOf(datatype: Fixed, count: number): number {
  return count * ELEMENT_BYTES[datatype];
}

/** What is wrong with bytes, in words. */
export class BadBytes extends Error {}

/**
 * The elements of a tensor.
 * @param count of its shape
 * @throws BadBytes when the bytes are not so many elements
 */
export function readBinaryData(bytes: Buffer, datatype: Datatype, count: number): TensorData {
  if (datatype === 'BYTES') return readTexts(bytes, count);
  const size = ELEMENT_BYTES[datatype];
  if (bytes.length !== count * size) {
    throw new BadBytes(`has ${bytes.length} bytes; ${count} elements of ${datatype} have ${count * size}`);
  }
  // Copied: what lies in a body begins anywhere, and an array of numbers at a multiple of their size.
  const memory = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer; // of a body, never shared
  switch (datatype) {
    case 'BOOL':
      return checkBools(new Uint8Array(memory));
    case 'UINT8':
      return new Uint8Array(memory);
    case 'UINT16':
      return new Uint16Array(memory);
    case 'UINT32':
      return new Uint32Array(memory);
    case 'UINT64':
      return new BigUint64Array(memory);
    case 'INT8':
      return new Int8Array(memory);
    case 'INT16':
      return new Int16Array(memory);
    case 'INT32':
      return new Int32Array(memory);
    case 'INT64':
      return new BigInt64Array(memory);
    case 'FP16':
      return Float32Array.from(new Float16Array(memory));
    case 'FP32':
      return new Float32Array(memory);
    case 'FP64':
      return new Float64Array(memory);
  }
}

function checkBools(bytes: Uint8Array): Uint8Array {
  const wrong = bytes.findIndex((byte) => byte > 1);
  if (wrong >= 0) throw new BadBytes(`holds the byte ${bytes[wrong]} for element ${wrong}; a BOOL is 0 or 1`);
  return bytes;
}

function readTexts(bytes: Buffer, count: number): string[] {
  const texts: string[] = [];
  let at = 0;
  while (at < bytes.length && texts.length < count) {
    if (at + 4 > bytes.length) throw new BadBytes(`ends within element ${texts.length}`);
    const from = at + 4;
    at = from + bytes.readUInt32LE(at);
    if (at > bytes.length) throw new BadBytes(`ends within element ${texts.length}`);
    const text = bytes.subarray(from, at);
    // Decoding would replace what is not UTF-8, and another text than the caller's would be scored.
    if (!isUtf8(text)) throw new BadBytes(`holds for element ${texts.length} what is not UTF-8`);
    texts.push(text.toString('utf8'));
  }
  if (texts.length !== count || at !== bytes.length) {
    const found = at < bytes.length ? `more than ${count}` : texts.length;
    throw new BadBytes(`has ${found} elements; the shape has ${count}`);
  }
  return texts;
}

/** Elements `from` to `to` of an output. */
export function writeBinaryData({ data }: Pick<OutputTensor, 'data'>, from: number, to: number): Buffer {
  if (!isTyped(data)) return writeTexts(data, from, to);
  const part = data.subarray(from, to);
  return Buffer.from(part.buffer, part.byteOffset, part.byteLength);
}

function isTyped(data: OutputData): data is Exclude<OutputData, readonly string[]> {
  return ArrayBuffer.isView(data);
}

export function writeTexts(texts: readonly string[], from = 0, to: number = texts.length): Buffer {
  const parts: Buffer[] = [];
  for (let i = from; i < to; i++) {
    const text = Buffer.from(texts[i] ?? '');
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.length);
    parts.push(length, text);
  }
  return Buffer.concat(parts);
}
