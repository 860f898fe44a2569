/** Outputs → a ModelInferResponse: the data always raw, since every client reads that. */
import type { Dtype } from '@assay/contracts';
import type { OutputData, OutputTensor, ScoredRows } from '@assay/scoring';
import { classify } from '../http/oip/classification.ts';
import { DATATYPE_OF } from '../http/oip/datatypes.ts';
import { BYTES, bytesField, VARINT, varintBytes, writeVarint } from './protobuf-wire.ts';
import type { WireOutput } from './read-infer-request.ts';

/** A message of known size that is yet to be written. */
export interface PlannedMessage {
  readonly sizeBytes: number;
  /** @returns the place behind it */
  write(buffer: Buffer, at: number): number;
}

/** What is the same in every answer of a variant: its name and version. */
export function responseHead(model: string, version: string): Buffer {
  return Buffer.concat([bytesField(1, model), bytesField(2, version)]);
}

/** The head of the answer to a request: its own id, where it has one, and the id of its predictions. */
function requestHead(id: string, predictionId: string, cachedRows: number | undefined): Buffer {
  const parameter = Buffer.concat([bytesField(1, 'prediction_id'), bytesField(2, bytesField(3, predictionId))]);
  const parts = id === '' ? [] : [bytesField(3, id)];
  parts.push(bytesField(4, parameter));
  if (cachedRows !== undefined) parts.push(bytesField(4, cachedRowsParameter(cachedRows)));
  return parts.length === 1 ? (parts[0] ?? parameter) : Buffer.concat(parts);
}

/** How many rows were not run for this request. */
function cachedRowsParameter(rows: number): Buffer {
  const value = Buffer.alloc(1 + varintBytes(rows));
  value[0] = 2 * 8 + VARINT;
  writeVarint(value, 1, rows);
  return Buffer.concat([bytesField(1, 'cached_rows'), bytesField(2, value)]);
}

/**
 * @param head of `responseHead`
 * @param wanted the outputs, in their order; none: all
 */
export function planInferResponse(
  head: Buffer,
  id: string,
  predictionId: string,
  { outputs: { outputs }, firstRow, rows, cached }: ScoredRows,
  wanted: readonly WireOutput[],
): PlannedMessage {
  const chosen =
    wanted.length === 0 ? outputs : wanted.flatMap(({ name }) => outputs.find((o) => o.name === name) ?? []);
  const own = requestHead(id, predictionId, cached?.size);
  let sizeBytes = head.length + own.length;
  const metadata: Uint8Array[] = [];
  const data: Uint8Array[] = [];
  chosen.forEach((output, i) => {
    const classes = wanted[i]?.classes;
    if (classes === undefined || classes === 0) {
      metadata.push(tensorMetadata(output, rows));
      data.push(rawData(output, firstRow, rows));
    } else {
      const width = widthOf(output);
      const count = Math.min(classes, width);
      metadata.push(tensorMetadata({ name: output.name, dtype: 'string', shape: [rows, count] }, rows));
      data.push(rawTexts(classify(output, firstRow, rows, width, count)));
    }
  });
  const parts = [...metadata, ...data];
  for (const part of parts) sizeBytes += fieldBytes(part.length);
  return {
    sizeBytes,
    write(buffer, start) {
      buffer.set(head, start);
      buffer.set(own, start + head.length);
      let at = start + head.length + own.length;
      parts.forEach((part, i) => {
        buffer[at] = (i < chosen.length ? 5 : 6) * 8 + BYTES;
        at = writeVarint(buffer, at + 1, part.length);
        buffer.set(part, at);
        at += part.length;
      });
      return at;
    },
  };
}

/** Of a field whose tag is one byte. */
function fieldBytes(valueBytes: number): number {
  return 1 + varintBytes(valueBytes) + valueBytes;
}

const tensorHeads = new Map<string, Buffer>();
const MAX_TENSOR_HEADS = 10_000;

/** Name and datatype, written once for all answers. */
function tensorHead(name: string, dtype: Dtype): Buffer {
  const key = `${dtype} ${name}`;
  let head = tensorHeads.get(key);
  if (head === undefined) {
    head = Buffer.concat([bytesField(1, name), bytesField(2, DATATYPE_OF[dtype])]);
    if (tensorHeads.size < MAX_TENSOR_HEADS) tensorHeads.set(key, head);
  }
  return head;
}

function tensorMetadata({ name, dtype, shape: [, ...tail] }: Omit<OutputTensor, 'data'>, rows: number): Buffer {
  const head = tensorHead(name, dtype);
  const shapeBytes = tail.reduce((sum, size) => sum + varintBytes(size), varintBytes(rows));
  const bytes = Buffer.allocUnsafe(head.length + fieldBytes(shapeBytes));
  bytes.set(head);
  bytes[head.length] = 3 * 8 + BYTES;
  let at = writeVarint(bytes, head.length + 1, shapeBytes);
  at = writeVarint(bytes, at, rows);
  for (const size of tail) at = writeVarint(bytes, at, size);
  return bytes;
}

/** Elements a row. */
function widthOf({ shape: [, ...tail] }: OutputTensor): number {
  return tail.reduce((product, size) => product * size, 1);
}

function rawData(output: OutputTensor, firstRow: number, rows: number): Uint8Array {
  const { data } = output;
  const width = widthOf(output);
  const [from, to] = [firstRow * width, (firstRow + rows) * width];
  if (!isTyped(data)) return rawTexts(data.slice(from, to));
  const size = data.BYTES_PER_ELEMENT;
  return new Uint8Array(data.buffer, data.byteOffset + from * size, (to - from) * size);
}

function isTyped(data: OutputData): data is Exclude<OutputData, readonly string[]> {
  return ArrayBuffer.isView(data);
}

function rawTexts(texts: readonly string[]): Buffer {
  const sizes = texts.map((text) => Buffer.byteLength(text));
  const bytes = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + 4 + size, 0));
  let at = 0;
  texts.forEach((text, i) => {
    at = bytes.writeUInt32LE(sizes[i] ?? 0, at);
    at += bytes.write(text, at);
  });
  return bytes;
}
