/**
 * Kafka's record (format v2, https://kafka.apache.org/documentation/#record), written in one pass:
 *
 *     length varint, attributes int8, timestampDelta varlong, offsetDelta varint,
 *     key varint + bytes, value varint + bytes, headers varint × (name varint + text, value varint + bytes)
 *
 * Integers are zigzag varints; null is the length -1. Records lie one after another in slabs, which are never used again:
 * what was handed out stays as it is for as long as it is held.
 */

type Bytes = Buffer | string | null | undefined;

export interface RecordToEncode {
  readonly offsetDelta?: number;
  readonly timestampDelta?: number;
  readonly key?: Bytes;
  readonly value?: Bytes;
  readonly headers?: Readonly<Record<string, Bytes | readonly Bytes[]>>;
}

/** As kafkajs' encoders are read by what writes them into the request. */
export interface EncodedRecord {
  readonly buf: Buffer;
  readonly buffer: Buffer;
}

const SLAB_BYTES = 256 * 1024;
/** Longest varint of 32 bits. */
const VARINT_BYTES = 5;
/** Length, attributes, both deltas, the lengths of key and value, the number of headers. */
const FIXED_BYTES = 6 * VARINT_BYTES + 11;
/** Shorter ones are copied byte by byte: a native call costs more. */
const SHORT_BYTES = 48;

let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let at = 0;

export function encodeRecord(record: RecordToEncode): EncodedRecord {
  const { offsetDelta = 0, timestampDelta = 0, key, value, headers = {} } = record;
  const start = reserve(mostBytes(key, value, headers)) + VARINT_BYTES;
  at = start;
  slab[at++] = 0; // attributes: none are in use
  writeVarint(timestampDelta);
  writeVarint(offsetDelta);
  writeBytes(key);
  writeBytes(value);
  const names = Object.keys(headers);
  let count = 0;
  for (const name of names) {
    const header = headers[name];
    count += isList(header) ? header.length : 1;
  }
  writeVarint(count);
  for (const name of names) {
    const header = headers[name];
    if (isList(header)) for (const each of header) writeHeader(name, each);
    else writeHeader(name, header);
  }
  const end = at;
  const length = end - start;
  at = start - varintBytes(length);
  const from = at;
  writeVarint(length);
  at = end;
  const buffer = slab.subarray(from, end);
  return { buf: buffer, buffer };
}

function isList(header: Bytes | readonly Bytes[]): header is readonly Bytes[] {
  return Array.isArray(header);
}

function writeHeader(name: string, value: Bytes): void {
  writeText(name);
  writeBytes(value);
}

/** Where `sizeBytes` more fit. */
function reserve(sizeBytes: number): number {
  if (at + sizeBytes > slab.length) {
    slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, sizeBytes));
    at = 0;
  }
  return at;
}

function mostBytes(key: Bytes, value: Bytes, headers: NonNullable<RecordToEncode['headers']>): number {
  let bytes = FIXED_BYTES + bound(key) + bound(value);
  for (const name in headers) {
    const header = headers[name];
    if (isList(header)) for (const each of header) bytes += bound(name) + bound(each);
    else bytes += bound(name) + bound(header);
  }
  return bytes;
}

/** A UTF-16 unit has three bytes of UTF-8 at most. */
function bound(value: Bytes): number {
  if (value === null || value === undefined) return VARINT_BYTES;
  return VARINT_BYTES + (typeof value === 'string' ? 3 * value.length : value.length);
}

function writeBytes(value: Bytes): void {
  if (value === null || value === undefined) {
    slab[at++] = 1; // -1
    return;
  }
  if (typeof value === 'string') {
    writeText(value);
    return;
  }
  const { length } = value;
  writeVarint(length);
  if (length <= SHORT_BYTES) for (let i = 0; i < length; i++) slab[at + i] = value[i] ?? 0;
  else slab.set(value, at);
  at += length;
}

function writeText(text: string): void {
  const { length } = text;
  const start = at;
  if (length <= 4 * SHORT_BYTES) {
    writeVarint(length);
    let i = 0;
    for (; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) break;
      slab[at + i] = code;
    }
    if (i === length) {
      at += length;
      return;
    }
    at = start;
  }
  writeVarint(Buffer.byteLength(text));
  at += slab.write(text, at);
}

function varintBytes(value: number): number {
  let rest = zigzag(value);
  let bytes = 1;
  for (; rest >= 0x80; bytes++) rest = Math.floor(rest / 0x80);
  return bytes;
}

function writeVarint(value: number): void {
  let rest = zigzag(value);
  while (rest >= 0x80) {
    slab[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  slab[at++] = rest;
}

/** Not by shifts: a timestamp's delta may have more than 32 bits. */
function zigzag(value: number): number {
  return value >= 0 ? 2 * value : -2 * value - 1;
}
