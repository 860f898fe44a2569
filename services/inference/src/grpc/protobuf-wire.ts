/**
 * Protobuf's wire format, as far as the messages of inference need it: these are read and written by hand, since they are
 * many and hold the numbers. https://protobuf.dev/programming-guides/encoding/
 */
import { AssayError } from '@assay/contracts';

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

/** A part of a buffer. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** A place in a message. Every read is checked against its end. */
export class WireReader {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;

  constructor(bytes: Buffer, from = 0, to = bytes.length) {
    this.bytes = bytes;
    this.at = from;
    this.end = to;
  }

  get isAtEnd(): boolean {
    return this.at >= this.end;
  }

  /** Field number × 8 + wire type. */
  tag(): number {
    const tag = this.varint();
    if (tag < 8 || tag > 0xffff_ffff) throw malformed('a field has no number');
    return tag;
  }

  /** Exact to 2^53; beyond it the nearest double. */
  varint(): number {
    const { bytes, end } = this;
    let value = 0;
    let scale = 1;
    for (let digits = 0; digits < 10; digits++) {
      if (this.at >= end) throw malformed('it ends within a number');
      const byte = bytes[this.at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw malformed('a number has more than ten bytes');
  }

  /** The lowest 64 bits. */
  bigVarint(): bigint {
    const from = this.at;
    const small = this.varint();
    if (small <= Number.MAX_SAFE_INTEGER) return BigInt(small);
    let value = 0n;
    for (let at = this.at - 1; at >= from; at--) value = (value << 7n) | BigInt((this.bytes[at] ?? 0) & 0x7f);
    return BigInt.asUintN(64, value);
  }

  /** The place of a value of the wire type BYTES; goes behind it. */
  range(): Range {
    const length = this.varint();
    const from = this.at;
    const to = from + length;
    if (to > this.end) throw malformed('it ends within a field');
    this.at = to;
    return { from, to };
  }

  /** A reader of a message, or of packed values, that is the value of a field. */
  message(): WireReader {
    const { from, to } = this.range();
    return new WireReader(this.bytes, from, to);
  }

  text(): string {
    const { from, to } = this.range();
    return this.bytes.toString('utf8', from, to);
  }

  float32(): number {
    this.#need(4);
    return this.bytes.readFloatLE(this.at - 4);
  }

  float64(): number {
    this.#need(8);
    return this.bytes.readDoubleLE(this.at - 8);
  }

  skip(wireType: number): void {
    if (wireType === VARINT) this.varint();
    else if (wireType === BYTES) this.range();
    else if (wireType === FIXED64) this.#need(8);
    else if (wireType === FIXED32) this.#need(4);
    else throw malformed(`a field has the wire type ${wireType}`);
  }

  /** Goes behind so many bytes. */
  #need(bytes: number): void {
    this.at += bytes;
    if (this.at > this.end) throw malformed('it ends within a field');
  }
}

export function malformed(why: string): AssayError {
  return new AssayError('INVALID_ARGUMENT', `the message is not a valid protobuf message: ${why}`);
}

export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** @returns the place behind it */
export function writeVarint(buffer: Buffer, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest >= 128) {
    buffer[next++] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 128);
  }
  buffer[next++] = rest;
  return next;
}

/** A field of the wire type BYTES with its tag and length. */
export function bytesField(field: number, value: string | Uint8Array): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  const head = Buffer.allocUnsafe(20);
  const length = writeVarint(head, writeVarint(head, 0, field * 8 + BYTES), bytes.length);
  return Buffer.concat([head.subarray(0, length), bytes]);
}
