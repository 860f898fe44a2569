/** Kafka's record (format v2, see record-encoder.ts), read in one pass. What is out of the ordinary is left to kafkajs. */

/** kafkajs' own reader; it holds one record and stands at its first byte. */
export interface RecordBytes {
  readonly buffer: Buffer;
}

/** Of the batch that the record is in. */
export interface BatchContext {
  readonly firstOffset: string;
  readonly firstTimestamp: string;
  readonly maxTimestamp: string;
  readonly timestampType: number;
  readonly magicByte: number;
  readonly isControlBatch: boolean;
}

type Header = Buffer | null;

/** What kafkajs makes of a record. */
export interface DecodedRecord {
  readonly magicByte: number;
  readonly attributes: number;
  readonly timestamp: string;
  readonly offset: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Header | Header[]>>;
  readonly isControlRecord: boolean;
  readonly batchContext: BatchContext;
}
export type DecodeRecord = (bytes: RecordBytes, context: BatchContext) => DecodedRecord;

const LOG_APPEND_TIME = 1;

/** Where the reader stands; one record is read at a time. */
let at = 0;

export function decodeRecordWith(original: DecodeRecord): DecodeRecord {
  return (bytes, context) => {
    const { buffer } = bytes;
    at = 1; // attributes: none are in use
    const timestamp = Number(context.firstTimestamp) + readVarint(buffer);
    const offset = Number(context.firstOffset) + readVarint(buffer);
    const key = readBytes(buffer);
    const value = readBytes(buffer);
    const headers: Record<string, Header | Header[]> = {};
    const count = readVarint(buffer);
    for (let i = 0; i < count && at <= buffer.length; i++) {
      const name = readText(buffer);
      if (name === '__proto__') return original(bytes, context);
      const header = readBytes(buffer);
      const before = headers[name];
      if (before === undefined) headers[name] = header;
      else if (Array.isArray(before)) before.push(header);
      else headers[name] = [before, header];
    }
    // Beyond them a double is not exact; a record that is cut short reads as NaN.
    if (!Number.isSafeInteger(timestamp) || !Number.isSafeInteger(offset) || at !== buffer.length) {
      return original(bytes, context);
    }
    const isByLog = context.timestampType === LOG_APPEND_TIME && Boolean(context.maxTimestamp);
    return {
      magicByte: context.magicByte,
      attributes: buffer.readInt8(0),
      timestamp: isByLog ? context.maxTimestamp : String(timestamp),
      offset: String(offset),
      key,
      value,
      headers,
      isControlRecord: context.isControlBatch,
      batchContext: context,
    };
  };
}

function readVarint(buffer: Buffer): number {
  let value = 0;
  let scale = 1;
  for (;;) {
    const byte = buffer[at++] ?? Number.NaN;
    if (!(byte >= 0x80)) {
      value += byte * scale;
      break;
    }
    value += (byte - 0x80) * scale;
    scale *= 0x80;
  }
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

function readBytes(buffer: Buffer): Buffer | null {
  const length = readVarint(buffer);
  if (length < 0) return null;
  const from = at;
  at += length;
  return buffer.subarray(from, at);
}

function readText(buffer: Buffer): string {
  const length = readVarint(buffer);
  const from = at;
  at += length;
  return buffer.toString('utf8', from, at);
}
