import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32c } from './crc32c.ts';
import { groupMessagesPerPartition, replaceKafkajsParts } from './kafkajs-parts.ts';
import { type BatchContext, type DecodeRecord, decodeRecordWith, type RecordBytes } from './record-decoder.ts';
import { type EncodedRecord, encodeRecord, type RecordToEncode } from './record-encoder.ts';
import { loadKafkajs } from './settings.ts';

const require = createRequire(import.meta.url);
const parts = replaceKafkajsParts();

/** What kafkajs itself would have done. */
function original<F>(path: string): F {
  const found = parts?.original(path);
  if (found === undefined) throw new Error(`${path} is not replaced: this is another kafkajs`);
  return found as F; // the caller says what the module is
}

describe('the encoder of records', () => {
  const theirs = original<(record: RecordToEncode) => EncodedRecord>('protocol/recordBatch/record/v0/index');

  test('gives the bytes that kafkajs gives', () => {
    const bytes = fc.uint8Array({ maxLength: 200 }).map((each) => Buffer.from(each));
    const text = fc.string({ unit: 'grapheme', maxLength: 200 });
    const value = fc.oneof(bytes, text);
    const record = fc.record({
      offsetDelta: fc.nat(100_000),
      timestampDelta: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
      key: fc.option(value),
      value: fc.option(
        fc.oneof(
          value,
          fc.nat(40_000).map((size) => Buffer.alloc(size, 'ä')),
        ),
      ),
      headers: fc.dictionary(text, fc.oneof(value, fc.array(value, { maxLength: 3 })), { maxKeys: 10 }),
    });
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 5 }), (records) => {
        const ours = records.map((each) => encodeRecord(each).buffer);
        expect(ours.map(String)).toEqual(records.map((each) => String(theirs(each).buffer)));
        for (const [i, each] of records.entries()) expect(ours[i]?.equals(theirs(each).buffer)).toBe(true);
      }),
    );
  });

  test('leaves what it gave as it was, through many slabs', () => {
    const records = Array.from({ length: 3000 }, (_, i) => ({ value: `${i} `.repeat(100), headers: { i: String(i) } }));
    const encoded = records.map((each) => encodeRecord(each).buffer);
    expect(encoded.every((each, i) => each.equals(theirs(records[i] ?? {}).buffer))).toBe(true);
  });
});

describe('the decoder of records', () => {
  const theirs = original<DecodeRecord>('protocol/recordBatch/record/v0/decoder');
  const ours = decodeRecordWith(theirs);
  const DecoderOf: new (buffer: Buffer) => RecordBytes = require('kafkajs/src/protocol/decoder');
  const context: BatchContext = {
    firstOffset: '9007199254740000',
    firstTimestamp: '1700000000000',
    maxTimestamp: '1700000009999',
    timestampType: 0,
    magicByte: 2,
    isControlBatch: false,
  };
  /** Without the length that the batch's reader takes off. */
  const bodyOf = (record: RecordToEncode): Buffer => {
    const { buffer } = encodeRecord(record);
    const decoder: RecordBytes & { readVarInt(): number; offset: number } = Object.assign(new DecoderOf(buffer));
    decoder.readVarInt();
    return buffer.subarray(decoder.offset);
  };
  const both = (body: Buffer, of: BatchContext) => [ours, theirs].map((decode) => decode(new DecoderOf(body), of));

  test('gives what kafkajs gives', () => {
    const bytes = fc.uint8Array({ maxLength: 100 }).map((each) => Buffer.from(each));
    const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 100 }), fc.constantFrom('__proto__', 'constructor'));
    const record = fc.record({
      offsetDelta: fc.nat(100_000),
      timestampDelta: fc.integer({ min: -(2 ** 40), max: 2 ** 50 }),
      key: fc.option(bytes),
      value: fc.option(bytes),
      headers: fc.dictionary(text, fc.oneof(bytes, fc.array(fc.option(bytes), { maxLength: 3 })), { maxKeys: 8 }),
    });
    fc.assert(
      fc.property(record, fc.constantFrom(-1, 0, 1), fc.boolean(), (each, timestampType, isControlBatch) => {
        const [mine, yours] = both(bodyOf(each), { ...context, timestampType, isControlBatch });
        expect(mine).toEqual(yours);
        expect(Object.keys(mine?.headers ?? {})).toEqual(Object.keys(yours?.headers ?? {}));
      }),
    );
  });

  test('leaves a record that is cut short to kafkajs, as it does one whose offset no double holds', () => {
    const body = bodyOf({ key: 'a', value: 'text', headers: { a: 'b' } });
    for (let length = 1; length < body.length; length++) {
      const cut = body.subarray(0, length);
      const [mine, yours] = [ours, theirs].map((decode) => {
        try {
          return decode(new DecoderOf(cut), context);
        } catch (error) {
          return String(error);
        }
      });
      expect(mine).toEqual(yours);
    }
    const [mine, yours] = both(body, { ...context, firstOffset: '9223372036854775000' });
    expect(mine).toEqual(yours);
    expect(mine?.offset).toBe('9223372036854775000');
  });
});

test('the checksum is that of kafkajs, for all lengths', () => {
  const theirs = original<(bytes: Buffer) => number>('protocol/recordBatch/crc32C/index');
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283); // RFC 3720
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(crc32c(bytes)).toBe(theirs(Buffer.from(bytes)));
    }),
  );
});

describe('the grouping by partition', () => {
  test('is that of kafkajs, in the order of the messages', () => {
    const theirs = original<typeof groupMessagesPerPartition<{ key: number }>>('producer/groupMessagesPerPartition');
    const messages = Array.from({ length: 100 }, (_, key) => ({ key }));
    const of = {
      topic: 't',
      partitionMetadata: [{}, {}],
      messages,
      partitioner: ({ message }: { message: { key: number } }) => (message.key * 7) % 5,
    };
    expect(groupMessagesPerPartition(of)).toEqual(theirs(of));
    expect(groupMessagesPerPartition({ ...of, partitionMetadata: [] })).toEqual({});
  });
});

describe('the decoding of a partition', () => {
  interface Decoder {
    readonly buffer: Buffer;
  }
  type Decode = (decoder: Decoder) => Promise<{ offset: string; value: Buffer }[]>;
  const DecoderOf: new (buffer: Buffer) => Decoder = require('kafkajs/src/protocol/decoder');
  const ours: Decode = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages');
  const theirs = original<Decode>('protocol/requests/fetch/v4/decodeMessages');

  async function partitionOf(batches: number, cutBytes = 0): Promise<Buffer> {
    const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0');
    const encoded: Buffer[] = [];
    for (let i = 0; i < batches; i++) {
      const records = Array.from({ length: 500 }, (_, n) => encodeRecord({ offsetDelta: n, value: `${i}.${n}` }));
      encoded.push((await RecordBatch({ records, lastOffsetDelta: 499 })).buffer);
    }
    const whole = Buffer.concat(encoded);
    const cut = whole.subarray(0, whole.length - cutBytes);
    const size = Buffer.alloc(4);
    size.writeInt32BE(cut.length);
    return Buffer.concat([size, cut]);
  }

  test.each([
    ['one batch', 1, 0],
    ['many', 20, 0],
    ['many, the last one in part', 20, 100],
    ['none', 0, 0],
  ])('gives what kafkajs gives: %s', async (_, batches, cutBytes) => {
    const bytes = await partitionOf(batches, cutBytes);
    const records = await ours(new DecoderOf(bytes));
    expect(records).toEqual(await theirs(new DecoderOf(bytes)));
    expect(records.length).toBe(Math.max(0, batches - (cutBytes > 0 ? 1 : 0)) * 500);
  });

  test('lets others have their turn', async () => {
    const bytes = await partitionOf(200);
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    await ours(new DecoderOf(bytes));
    isDone = true;
    expect(turns).toBeGreaterThan(5);
  });
});

test('a queue of requests that nothing throttles sets no negative timer', async () => {
  const { Kafka } = await loadKafkajs();
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  const RequestQueue = require('kafkajs/src/network/requestQueue');
  const queue = new RequestQueue({
    requestTimeout: 1000,
    enforceRequestTimeout: false,
    clientId: 'test',
    broker: 'none',
    logger: { namespace: () => ({ debug() {} }) },
    isConnected: () => true,
  });
  queue.scheduleCheckPendingRequests();
  await new Promise((resolve) => setTimeout(resolve, 20));
  queue.destroy();
  process.off('warning', onWarning);
  expect(warnings.map(({ name }) => name)).toEqual([]);
  expect(Kafka).toBeTypeOf('function');
});
