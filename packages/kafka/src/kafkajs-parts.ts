/**
 * Parts of kafkajs 2.2.4 that are replaced when it is loaded. Its last release is years old, so what is slow or wrong in it
 * is mended here, part by part, each with a test beside the original:
 *
 * - the encoder of records, which made a buffer of 512 bytes for each record and each header, and one for each varint;
 * - the decoder of records, which made a new object of all headers for each header, and big integers for each varint;
 * - the encoder of batches and requests, which copied every byte eight times, into buffers filled with zeros before;
 * - the checksum of batches, which took a byte a step;
 * - the grouping of messages by partition, which copied all earlier messages for each one;
 * - the search for a transaction's coordinator, which was made before each of its steps (coordinators.ts);
 * - what comes of a transaction that must wait for the one before it (concurrent-transactions.ts), and of one that the
 *   brokers left without an end (dangling-transactions.ts);
 * - the filter of aborted transactions, which let some of their records through (aborted-messages.ts);
 * - the decoding of a fetched partition, which held the event loop until all of its records were decoded;
 * - the timer of its request queue, which was set to a negative time (Node warns of it).
 *
 * The modules are no public interface: another version of kafkajs is left as it is.
 */
import { createRequire } from 'node:module';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { filterAbortedMessages } from './aborted-messages.ts';
import { awaitConcurrentTransactions, type Broker } from './concurrent-transactions.ts';
import { rememberCoordinators } from './coordinators.ts';
import { crc32c } from './crc32c.ts';
import { type Coordinator, endDanglingTransactions } from './dangling-transactions.ts';
import type { ClassOf } from './mixin.ts';
import { type EncodeBatch, encodeBatchWith } from './record-batch.ts';
import { decodeRecordWith } from './record-decoder.ts';
import { encodeRecord } from './record-encoder.ts';
import { keepLargeParts } from './request-encoder.ts';

const KNOWN_VERSION = '2.2.4';
/** How long decoding may hold the event loop. */
const SLICE_MS = 1;

export interface KafkajsParts {
  /** Of the module `kafkajs/src/…`, as kafkajs made it. */
  original(path: string): unknown;
}

let replaced: { readonly parts: KafkajsParts | undefined } | undefined;

/**
 * Call it before kafkajs itself is loaded, which keeps what it has found. Undefined where nothing is replaced: the version is
 * not the known one, or somebody has loaded it already.
 */
export function replaceKafkajsParts(): KafkajsParts | undefined {
  replaced ??= { parts: replaceParts() };
  return replaced.parts;
}

function replaceParts(): KafkajsParts | undefined {
  const require = createRequire(import.meta.url);
  const { version }: { version: string } = require('kafkajs/package.json');
  const isLoaded = require.cache[require.resolve('kafkajs')] !== undefined;
  if (version !== KNOWN_VERSION || isLoaded) return undefined;
  const originals = new Map<string, unknown>();
  const replace = (path: string, by: (original: never) => unknown): void => {
    const id = require.resolve(`kafkajs/src/${path}`);
    const original: unknown = require(id);
    const module = require.cache[id];
    if (module === undefined) throw new Error(`kafkajs/src/${path} is not where it was loaded from`);
    module.exports = by(original as never); // each replacement below says what it is given
    originals.set(path, original);
  };
  replace('protocol/encoder', keepLargeParts); // first: those below load what uses it
  // Before what uses it.
  replace('broker/index', (original: ClassOf<Broker & Coordinator>) =>
    awaitConcurrentTransactions(endDanglingTransactions(original)),
  );
  replace('cluster/index', rememberCoordinators);
  replace('producer/groupMessagesPerPartition', () => groupMessagesPerPartition);
  replace('protocol/recordBatch/record/v0/index', () => encodeRecord);
  replace('protocol/recordBatch/record/v0/decoder', decodeRecordWith);
  replace('protocol/recordBatch/crc32C/index', () => crc32c);
  replace('protocol/recordBatch/v0/index', (original: { readonly RecordBatch: EncodeBatch }) => ({
    ...original,
    RecordBatch: encodeBatchWith(original.RecordBatch),
  }));
  replace('consumer/filterAbortedMessages', () => filterAbortedMessages);
  replace('protocol/requests/fetch/v4/decodeMessages', (original: DecodeMessages) =>
    decodeInTurns(
      original,
      require('kafkajs/src/protocol/recordBatch/v0/decoder'),
      require('kafkajs/src/protocol/decoder'),
    ),
  );
  const RequestQueue: { prototype: RequestQueue } = require('kafkajs/src/network/requestQueue');
  RequestQueue.prototype.scheduleCheckPendingRequests = scheduleCheckPendingRequests;
  return { original: (path) => originals.get(path) };
}

interface ToPartition<Message> {
  readonly topic: string;
  readonly partitionMetadata: readonly unknown[];
  readonly messages: readonly Message[];
  readonly partitioner: (of: { topic: string; partitionMetadata: readonly unknown[]; message: Message }) => number;
}

export function groupMessagesPerPartition<Message>(of: ToPartition<Message>): Record<number, Message[]> {
  const { topic, partitionMetadata, messages, partitioner } = of;
  const groups: Record<number, Message[]> = {};
  if (partitionMetadata.length === 0) return groups;
  for (const message of messages) {
    const partition = partitioner({ topic, partitionMetadata, message });
    const group = groups[partition];
    if (group === undefined) groups[partition] = [message];
    else group.push(message);
  }
  return groups;
}

interface Decoder {
  readonly buffer: Buffer;
  readInt32(): number;
  readBytes(size: number): Buffer;
  canReadBytes(size: number): boolean;
}
type DecodeMessages = (decoder: Decoder) => Promise<unknown[]>;

const MAGIC_OFFSET = 16;
const MAGIC_OF_BATCHES = 2;
const BATCH_OVERHEAD_BYTES = 49;

/** Decodes the batches of a partition as kafkajs does, and lets others have their turn in between. */
function decodeInTurns(
  decodeAll: DecodeMessages,
  decodeBatch: (decoder: Decoder) => Promise<{ readonly records: unknown[] }>,
  DecoderOf: new (buffer: Buffer) => Decoder,
): DecodeMessages {
  return async (decoder) => {
    const start = decoder.buffer.subarray((decoder as Decoder & { offset: number }).offset); // it has one, undeclared
    const isOfBatches = start.length > 4 + MAGIC_OFFSET && start.readInt8(4 + MAGIC_OFFSET) === MAGIC_OF_BATCHES;
    if (!isOfBatches) return decodeAll(decoder); // empty, or of a broker before 0.11
    const sizeBytes = decoder.readInt32();
    if (sizeBytes <= 0 || !decoder.canReadBytes(sizeBytes)) return [];
    const batches = new DecoderOf(decoder.readBytes(sizeBytes));
    const records: unknown[] = [];
    let sinceMs = performance.now();
    while (batches.canReadBytes(BATCH_OVERHEAD_BYTES)) {
      try {
        const { records: more } = await decodeBatch(batches);
        for (const record of more) records.push(record);
      } catch (error) {
        // The last batch may be there in part; it comes again, whole.
        if (error instanceof Error && error.name === 'KafkaJSPartialMessageError') break;
        throw error;
      }
      if (performance.now() - sinceMs < SLICE_MS) continue;
      await nextTurn();
      sinceMs = performance.now();
    }
    return records;
  };
}

interface RequestQueue {
  readonly throttledUntil: number;
  readonly pending: readonly unknown[];
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

const CHECK_PENDING_MS = 10;

/** As in kafkajs, but for times that have passed: a queue that is not throttled is looked at in 1 ms, as ever. */
function scheduleCheckPendingRequests(this: RequestQueue): void {
  if (this.throttleCheckTimeoutId) return;
  const waitMs = this.throttledUntil - Date.now();
  const shortestMs = this.pending.length > 0 ? CHECK_PENDING_MS : 1;
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    },
    waitMs > 0 ? waitMs : shortestMs,
  );
}
