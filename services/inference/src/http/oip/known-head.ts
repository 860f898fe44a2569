/**
 * An inference request whose tensors are floats as bytes, straight from the body into the batch. Clients of one model mostly
 * send the same JSON again and again, with other bytes behind it: once it was read the careful way, what it says is known.
 * Any other JSON, and any value that is not taken as it is, is left to read-infer-request.ts, which says what is wrong.
 */
import type { Signature } from '@assay/contracts';
import type { FloatColumn, InputBatch } from '@assay/scoring';
import type { InferRequest } from './read-infer-request.ts';
import type { RequestedOutput } from './read-outputs.ts';

/** What the JSON before the tensors says. */
interface KnownHead {
  readonly json: Buffer;
  readonly rows: number;
  readonly outputs: readonly RequestedOutput[];
  /** In the order of their bytes. */
  readonly inputs: readonly KnownInput[];
  readonly sizeBytes: number;
}

interface KnownInput {
  readonly name: string;
  readonly sizeBytes: number;
}

/** Longer ones are not kept: their reading is little beside what follows it. */
const MAX_JSON_BYTES = 4096;

/** The last one of each signature. */
const heads = new WeakMap<Signature, KnownHead>();

/** Keeps what the JSON of a request said, where nothing but floats follows it. Who sends ids sends others each time. */
export function rememberHead(signature: Signature, json: Buffer, { id, inputs, outputs }: InferRequest): void {
  const rows = inputs[0]?.shape[0] ?? 0;
  if (id !== undefined || json.length > MAX_JSON_BYTES || inputs.some(({ shape }) => shape[0] !== rows)) return;
  const known: KnownInput[] = [];
  let sizeBytes = 0;
  for (const { name, data } of inputs) {
    // Numbers that came as JSON, or of another datatype than their feature's, are in no such array.
    if (!(data instanceof Float32Array || data instanceof Float64Array)) return;
    known.push({ name, sizeBytes: data.byteLength });
    sizeBytes += data.byteLength;
  }
  heads.set(signature, { json: Buffer.from(json), rows, outputs, inputs: known, sizeBytes });
}

/**
 * The rows are in the batch; undefined: they are not, and nothing of the request stays in it.
 * @param json what is before the tensors
 * @param binary the bytes of the tensors
 */
export function takeAsKnown(
  json: Buffer,
  binary: Buffer,
  signature: Signature,
  batch: InputBatch,
): Pick<KnownHead, 'rows' | 'outputs'> | undefined {
  const head = heads.get(signature);
  if (head === undefined || head.sizeBytes !== binary.length || !head.json.equals(json)) return undefined;
  let from = 0;
  for (const { name, sizeBytes } of head.inputs) {
    const column = batch.floats(name, head.rows);
    if (column === undefined) return undefined;
    const bytes = binary.subarray(from, from + sizeBytes);
    if (column.isFloat32 && column.array instanceof Float64Array) widenFloats(bytes, column, head.rows);
    else copyFloats(bytes, column, head.rows);
    if (!areTaken(column, head.rows)) return undefined;
    from += sizeBytes;
  }
  return batch.takeFloats(head.rows, head.inputs.length) ? head : undefined;
}

/** As bytes: in a body floats begin anywhere. */
function copyFloats(bytes: Buffer, { array, at, stride, width }: FloatColumn, rows: number): void {
  const target = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const size = array.BYTES_PER_ELEMENT;
  if (rows === 1 || stride === width) {
    target.set(bytes, at * size);
    return;
  }
  for (let row = 0; row < rows; row++) {
    target.set(bytes.subarray(row * width * size, (row + 1) * width * size), (at + row * stride) * size);
  }
}

/** The batch has them among doubles. */
function widenFloats(bytes: Buffer, { array, at, stride, width }: FloatColumn, rows: number): void {
  const floats = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let from = 0;
  for (let row = 0; row < rows; row++) {
    const start = at + row * stride;
    for (let i = start; i < start + width; i++, from += 4) array[i] = floats.getFloat32(from, true);
  }
}

/** Whether each is a finite number within the bounds of its feature. */
function areTaken({ array, at, stride, width, min, max }: FloatColumn, rows: number): boolean {
  const [least, most] = [Math.max(min, -Number.MAX_VALUE), Math.min(max, Number.MAX_VALUE)];
  for (let row = 0; row < rows; row++) {
    const start = at + row * stride;
    for (let i = start; i < start + width; i++) {
      const value = array[i] ?? Number.NaN;
      if (!(value >= least && value <= most)) return false;
    }
  }
  return true;
}
