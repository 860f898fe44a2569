/**
 * Kafka's batch of records (format v2, https://kafka.apache.org/documentation/#recordbatch), written in one piece. kafkajs
 * copies its bytes four times, each time into a buffer of the next power of two that it fills with zeros before.
 */
import { crc32c } from './crc32c.ts';
import { EncodedRecord } from './record-encoder.ts';

export interface BatchToEncode {
  readonly compression?: number;
  readonly firstOffset?: Integer;
  readonly firstTimestamp?: Integer;
  readonly maxTimestamp?: Integer;
  readonly partitionLeaderEpoch?: number;
  readonly lastOffsetDelta?: number;
  readonly transactional?: boolean;
  readonly producerId?: Integer;
  readonly producerEpoch?: number;
  readonly firstSequence?: number;
  readonly records?: readonly EncodedRecord[];
}

/** `{value}` is kafkajs' own class of 64-bit integers. */
type Integer = number | string | bigint | { readonly value: bigint };

/** As kafkajs' encoders are read. */
export interface EncodedBatch {
  readonly buf: Buffer;
  readonly buffer: Buffer;
  size(): number;
}
export type EncodeBatch = (batch: BatchToEncode) => Promise<EncodedBatch>;

const MAGIC_BYTE = 2;
const TRANSACTIONAL = 16;
const CODEC_MASK = 7;
/** Of firstOffset and length, which the length does not count. */
const PREFIX_BYTES = 12;
const CRC_OFFSET = 17;
const ATTRIBUTES_OFFSET = 21;
const HEADER_BYTES = 61;

/** @param original for what is compressed, or was encoded elsewhere */
export function encodeBatchWith(original: EncodeBatch): EncodeBatch {
  return async (batch) => {
    const { compression = 0, records = [] } = batch;
    const isOurs = (compression & CODEC_MASK) === 0 && records.every((record) => record instanceof EncodedRecord);
    if (!isOurs) return original(batch);
    const buffer = write(batch, records);
    return { buf: buffer, buffer, size: () => buffer.length };
  };
}

function write(batch: BatchToEncode, records: readonly EncodedRecord[]): Buffer {
  let sizeBytes = HEADER_BYTES;
  for (const { from, end } of records) sizeBytes += end - from;
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  bytes.writeBigInt64BE(integer(batch.firstOffset ?? 0), 0);
  bytes.writeInt32BE(sizeBytes - PREFIX_BYTES, 8);
  bytes.writeInt32BE(batch.partitionLeaderEpoch ?? 0, 12);
  bytes.writeInt8(MAGIC_BYTE, 16);
  bytes.writeInt16BE(batch.transactional === true ? TRANSACTIONAL : 0, ATTRIBUTES_OFFSET);
  bytes.writeInt32BE(batch.lastOffsetDelta ?? 0, 23);
  bytes.writeBigInt64BE(integer(batch.firstTimestamp ?? Date.now()), 27);
  bytes.writeBigInt64BE(integer(batch.maxTimestamp ?? Date.now()), 35);
  bytes.writeBigInt64BE(integer(batch.producerId ?? -1), 43);
  bytes.writeInt16BE(batch.producerEpoch ?? 0, 51);
  bytes.writeInt32BE(batch.firstSequence ?? 0, 53);
  bytes.writeInt32BE(records.length, 57);
  copyRecords(records, bytes);
  bytes.writeUInt32BE(crc32c(bytes.subarray(ATTRIBUTES_OFFSET)), CRC_OFFSET);
  return bytes;
}

/** Those that lie one after the other in their slab are one copy. */
function copyRecords(records: readonly EncodedRecord[], to: Buffer): void {
  let at = HEADER_BYTES;
  for (let i = 0; i < records.length; ) {
    const first = records[i];
    if (first === undefined) return;
    let { end } = first;
    for (i++; i < records.length; i++) {
      const next = records[i];
      if (next === undefined || next.slab !== first.slab || next.from !== end) break;
      end = next.end;
    }
    first.slab.copy(to, at, first.from, end);
    at += end - first.from;
  }
}

function integer(value: Integer): bigint {
  return typeof value === 'object' ? value.value : BigInt(value);
}
