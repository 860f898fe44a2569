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

type PlainHeaders = Readonly<Record<string, Bytes | readonly Bytes[]>>;

export interface RecordToEncode {
  readonly offsetDelta?: number;
  readonly timestampDelta?: number;
  readonly key?: Bytes;
  readonly value?: Bytes;
  readonly headers?: PlainHeaders | JoinedHeaders;
}

/** A record in its slab; `buf` and `buffer` are what kafkajs' encoders have. */
export class EncodedRecord {
  readonly slab: Buffer;
  readonly from: number;
  readonly end: number;

  constructor(within: Buffer, from: number, end: number) {
    this.slab = within;
    this.from = from;
    this.end = end;
  }

  get buf(): Buffer {
    return this.buffer;
  }

  get buffer(): Buffer {
    return this.slab.subarray(this.from, this.end);
  }
}

/**
 * Headers of which a part is the same object for many records: its bytes are made once. No name is in both.
 * For `encodeRecord` alone; kafkajs' own encoder does not know them.
 */
export class JoinedHeaders {
  readonly own: PlainHeaders;
  readonly shared: PlainHeaders;

  constructor(own: PlainHeaders, shared: PlainHeaders) {
    this.own = own;
    this.shared = shared;
  }
}

const SLAB_BYTES = 256 * 1024;
/** Longest varint of 32 bits. */
const VARINT_BYTES = 5;
/** Length, attributes, both deltas, the lengths of key and value, the number of headers. */
const FIXED_BYTES = 6 * VARINT_BYTES + 11;
const USUAL_LENGTH_BYTES = 2;
const NO_HEADERS: PlainHeaders = {};
/** Shorter ones are copied byte by byte: a native call costs more. */
const SHORT_BYTES = 48;

let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let at = 0;

export function encodeRecord(record: RecordToEncode): EncodedRecord {
  const { offsetDelta = 0, timestampDelta = 0, key, value, headers = NO_HEADERS } = record;
  const isJoined = headers instanceof JoinedHeaders;
  const own = isJoined ? headers.own : headers;
  const shared = isJoined ? encodedHeaders(headers.shared) : undefined;
  const from = reserve(FIXED_BYTES + bound(key) + bound(value) + mostBytes(own) + (shared?.bytes.length ?? 0));
  // Nearly every record has a length of two bytes; then it follows the one before without a gap.
  const start = from + USUAL_LENGTH_BYTES;
  at = start;
  slab[at++] = 0; // attributes: none are in use
  writeVarint(timestampDelta);
  writeVarint(offsetDelta);
  writeBytes(key);
  writeBytes(value);
  writeVarint(countOf(own) + (shared?.count ?? 0));
  writeHeaders(own);
  if (shared !== undefined) {
    slab.set(shared.bytes, at);
    at += shared.bytes.length;
  }
  let end = at;
  const length = end - start;
  const lengthBytes = varintBytes(length);
  if (lengthBytes !== USUAL_LENGTH_BYTES) {
    slab.copyWithin(from + lengthBytes, start, end);
    end += lengthBytes - USUAL_LENGTH_BYTES;
  }
  at = from;
  writeVarint(length);
  at = end;
  return new EncodedRecord(slab, from, end);
}

interface EncodedHeaders {
  readonly bytes: Buffer;
  readonly count: number;
}

const encoded = new WeakMap<PlainHeaders, EncodedHeaders>();

/** The bytes of headers that many records have. */
export function encodedHeaders(headers: PlainHeaders): EncodedHeaders {
  let found = encoded.get(headers);
  if (found === undefined) {
    const from = reserve(mostBytes(headers));
    writeHeaders(headers);
    found = { bytes: Buffer.from(slab.subarray(from, at)), count: countOf(headers) };
    encoded.set(headers, found);
  }
  return found;
}

function countOf(headers: PlainHeaders): number {
  let count = 0;
  for (const name in headers) {
    if (!Object.hasOwn(headers, name)) continue;
    const header = headers[name];
    count += isList(header) ? header.length : 1;
  }
  return count;
}

function writeHeaders(headers: PlainHeaders): void {
  for (const name in headers) {
    if (!Object.hasOwn(headers, name)) continue;
    const header = headers[name];
    if (isList(header)) for (const each of header) writeHeader(name, each);
    else writeHeader(name, header);
  }
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

function mostBytes(headers: PlainHeaders): number {
  let bytes = 0;
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
  const [to, start] = [slab, at];
  if (length <= SHORT_BYTES) for (let i = 0; i < length; i++) to[start + i] = value[i] ?? 0;
  else to.set(value, start);
  at += length;
}

function writeText(text: string): void {
  const { length } = text;
  if (length <= SHORT_BYTES && writeAscii(text)) return;
  // As long as if it were ASCII, which it nearly always is.
  const lengthBytes = varintBytes(length);
  const start = at + lengthBytes;
  const bytes = slab.write(text, start);
  const realLengthBytes = varintBytes(bytes);
  if (realLengthBytes !== lengthBytes) slab.copyWithin(at + realLengthBytes, start, start + bytes);
  writeVarint(bytes);
  at += bytes;
}

/** @returns false, with nothing written, where it is none */
function writeAscii(text: string): boolean {
  const { length } = text;
  const to = slab;
  const start = at + varintBytes(length);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) return false;
    to[start + i] = code;
  }
  writeVarint(length);
  at += length;
  return true;
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
