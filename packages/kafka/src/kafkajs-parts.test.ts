import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32c } from './crc32c.ts';
import { groupMessagesPerPartition, replaceKafkajsParts } from './kafkajs-parts.ts';
import type { BatchToEncode, EncodeBatch } from './record-batch.ts';
import { type BatchContext, type DecodeRecord, decodeRecordWith, type RecordBytes } from './record-decoder.ts';
import { type EncodedRecord, encodeRecord, JoinedHeaders, type RecordToEncode } from './record-encoder.ts';
import type { RequestEncoder, RequestEncoderClass } from './request-encoder.ts';
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

  test('gives the same for headers of which a part is shared', () => {
    const shared = { 'assay-digest': 'a'.repeat(64), empty: '', list: ['1', 'ä'] };
    for (const own of [{}, { n: '1', bytes: Buffer.from([0, 255]) }]) {
      for (const size of [0, 10, 60, 8000, 20_000]) {
        const record = { key: 'k', value: 'v'.repeat(size) };
        const joined = encodeRecord({ ...record, headers: new JoinedHeaders(own, shared) }).buffer;
        expect(joined.equals(theirs({ ...record, headers: { ...own, ...shared } }).buffer)).toBe(true);
      }
    }
  });

  test('leaves what it gave as it was, through many slabs', () => {
    const records = Array.from({ length: 3000 }, (_, i) => ({ value: `${i} `.repeat(100), headers: { i: String(i) } }));
    const encoded = records.map((each) => encodeRecord(each).buffer);
    expect(encoded.every((each, i) => each.equals(theirs(records[i] ?? {}).buffer))).toBe(true);
  });
});

describe('the encoder of batches', () => {
  const Long: { fromValue(value: number): { readonly value: bigint } } = require('kafkajs/src/utils/long');
  const ours: { RecordBatch: EncodeBatch } = require('kafkajs/src/protocol/recordBatch/v0');
  const theirs = original<{ RecordBatch: EncodeBatch }>('protocol/recordBatch/v0/index');
  const recordsOf = (count: number, sizeBytes: number) =>
    Array.from({ length: count }, (_, i) => encodeRecord({ offsetDelta: i, value: `${i} `.padEnd(sizeBytes, 'ä') }));

  test.each<[string, BatchToEncode]>([
    ['nothing', { firstTimestamp: 1, maxTimestamp: 2 }],
    ['small records', { firstTimestamp: 1_700_000_000_000, maxTimestamp: 1_700_000_000_001, records: recordsOf(3, 5) }],
    ['records of several slabs', { firstTimestamp: 1, maxTimestamp: 1, records: recordsOf(2000, 400) }],
    ['large records', { firstTimestamp: 1, maxTimestamp: 1, records: recordsOf(3, 300_000) }],
    [
      'a transaction',
      {
        firstTimestamp: '5',
        maxTimestamp: '6',
        transactional: true,
        producerId: '4611686018427387904',
        producerEpoch: 7,
        firstSequence: 11,
        lastOffsetDelta: 1,
        records: recordsOf(2, 20),
      },
    ],
    ['integers of kafkajs', { firstTimestamp: 1, maxTimestamp: 1, producerId: Long.fromValue(3) }],
    ['what is compressed', { firstTimestamp: 1, maxTimestamp: 1, compression: 1, records: recordsOf(50, 20) }],
  ])('gives the bytes that kafkajs gives: %s', async (_, batch) => {
    const [mine, yours] = await Promise.all([ours.RecordBatch(batch), theirs.RecordBatch(batch)]);
    expect(mine.size()).toBe(yours.size());
    expect(mine.buffer.equals(yours.buffer)).toBe(true);
  });
});

describe('the encoder of requests', () => {
  const Ours: RequestEncoderClass = require('kafkajs/src/protocol/encoder');
  const Theirs = original<RequestEncoderClass>('protocol/encoder');
  type Writer = RequestEncoder & { writeInt32(value: number): Writer; writeBytes(value: Buffer): Writer };

  test('gives the bytes that kafkajs gives, whatever is inside what', () => {
    const step = fc.oneof(
      fc.record({ is: fc.constant('integer' as const), value: fc.nat(1000) }),
      fc.record({
        is: fc.constantFrom('bytes' as const, 'inner' as const),
        value: fc.constantFrom(0, 7, 600, 5000, 90_000),
      }),
    );
    const build = (
      Encoder: RequestEncoderClass,
      levels: readonly (readonly { is: string; value: number }[])[],
    ): Writer => {
      let inner = new Encoder() as Writer; // kafkajs' own has the methods that are not replaced
      for (const steps of levels) {
        const outer = new Encoder() as Writer;
        for (const { is, value } of steps) {
          if (is === 'integer') outer.writeInt32(value);
          else if (is === 'bytes') outer.writeBytes(Buffer.alloc(value, value));
          else outer.writeEncoder(inner);
        }
        inner = outer;
      }
      return inner;
    };
    fc.assert(
      fc.property(fc.array(fc.array(step, { maxLength: 4 }), { minLength: 1, maxLength: 4 }), (levels) => {
        const [mine, yours] = [build(Ours, levels), build(Theirs, levels)];
        expect(mine.size()).toBe(yours.size());
        expect(mine.buffer.equals(yours.buffer)).toBe(true);
        // And again, with more behind it.
        expect(mine.writeInt32(5).buffer.equals(yours.writeInt32(5).buffer)).toBe(true);
      }),
      { numRuns: 50 },
    );
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
