/**
 * Whether a row gets the same bits in any company. Many graphs do not give them: a matrix product of one row takes another
 * kernel than one of two, a vectorized loop another function for its tail, a reduction another order by the address. So it
 * is tried, and the cheapest cure taken that works.
 */
import { setImmediate } from 'node:timers/promises';
import type { PackedInputBatch } from './input-batch.ts';
import type { Batching, OutputBatch } from './interfaces.ts';
import { type LoadedGraph, runRows } from './runner.ts';

/** Fewer rows miss models that differ on few of them; with these all broken models of our collection are found. */
export const MIN_INVARIANCE_ROWS = 64;
/** Two and seven rows, and as many as there may be: pairs, odd tails of vector loops, full blocks. */
const BATCH_SIZES = [2, 7];
/** The event loop may be serving other versions meanwhile. */
const BREATH_MS = 5;

export interface InvarianceFinding {
  readonly batching: Batching;
  readonly batchInvariant: boolean;
}

const CURES: readonly Batching[] = [{ mode: 'any' }, { mode: 'pad', to: 2 }, { mode: 'pad', to: 4 }, { mode: 'row' }];

/**
 * Runs the rows of `batch` (MIN_INVARIANCE_ROWS or more) each alone, each alone at another address, by twos, by sevens and
 * all at once, and compares bits: as they come, padded to a multiple of 2, of 4, and row by row. If nothing helps, rows
 * are put together freely and `batchInvariant` is false. Row by row is not tried with `rowsTogether`: a GPU chooses its
 * kernels by the size of a product, and is no faster than a CPU on one row (a perceptron of 4 × 1,024² on an H100: 0.6
 * times the rows of one CPU thread).
 */
export async function checkBatchInvariance(
  graph: LoadedGraph,
  batch: PackedInputBatch,
  options: { readonly maxBatchRows: number; readonly rowsTogether?: boolean; readonly signal?: AbortSignal },
): Promise<InvarianceFinding> {
  if (graph.encoder.layout.oneRow) {
    const batching: Batching = { mode: 'row' };
    return { batching, batchInvariant: await isInvariant(graph, batch, batching, options) };
  }
  for (const batching of CURES) {
    if (batching.mode === 'pad' && batching.to > options.maxBatchRows) continue;
    if (batching.mode === 'row' && options.rowsTogether === true) continue;
    if (await isInvariant(graph, batch, batching, options)) return { batching, batchInvariant: true };
  }
  return { batching: { mode: 'any' }, batchInvariant: false };
}

async function isInvariant(
  graph: LoadedGraph,
  batch: PackedInputBatch,
  batching: Batching,
  { maxBatchRows, signal }: { readonly maxBatchRows: number; readonly signal?: AbortSignal },
): Promise<boolean> {
  const breathe = breather(signal);
  const plan = { batching, maxBatchRows };
  const alone: OutputBatch[] = [];
  for (let row = 0; row < batch.rows; row++) {
    await breathe();
    alone.push(await runRows(graph, batch, row, 1, plan));
  }
  const agrees = async (from: number, rows: number, shiftElements?: number): Promise<boolean> => {
    await breathe();
    const outputs = await runRows(
      graph,
      batch,
      from,
      rows,
      shiftElements === undefined ? plan : { ...plan, shiftElements },
    );
    for (let row = 0; row < rows; row++) {
      const expected = alone[from + row];
      if (expected === undefined || !sameBits(outputs, row, expected, 0)) return false;
    }
    return true;
  };
  // The same again first: a graph with a random operator needs no further look.
  if (!(await agrees(0, 1))) return false;
  if (batching.mode === 'row') {
    for (let row = 0; row < batch.rows; row++) if (!(await agrees(row, 1))) return false;
    return true;
  }
  for (let row = 0; row < batch.rows; row++) if (!(await agrees(row, 1, 1 + (row % 7)))) return false;
  for (const size of [...BATCH_SIZES, maxBatchRows]) {
    for (let from = 0; from < batch.rows; from += size) {
      if (!(await agrees(from, Math.min(size, batch.rows - from)))) return false;
    }
  }
  return true;
}

/** Lets the event loop turn now and then. */
export function breather(signal?: AbortSignal): () => Promise<void> | undefined {
  let since = performance.now();
  return () => {
    signal?.throwIfAborted();
    if (performance.now() - since < BREATH_MS) return undefined;
    return setImmediate().then(() => {
      since = performance.now();
    });
  };
}

/** Whether a row of one batch has exactly the outputs of a row of another of the same scorer. */
export function sameBits(a: OutputBatch, rowOfA: number, b: OutputBatch, rowOfB: number): boolean {
  return a.outputs.every((tensor, i) => {
    const other = b.outputs[i];
    if (other === undefined) return false;
    const width = tensor.data.length / a.rows;
    const left = tensor.data.slice(rowOfA * width, (rowOfA + 1) * width);
    const right = other.data.slice(rowOfB * width, (rowOfB + 1) * width);
    if (ArrayBuffer.isView(left) && ArrayBuffer.isView(right))
      return Buffer.compare(bytesOf(left), bytesOf(right)) === 0;
    for (let j = 0; j < width; j++) if (left[j] !== right[j]) return false;
    return true;
  });
}

/** Whether all rows of both have exactly the same outputs. */
export function sameRows(a: OutputBatch, b: OutputBatch): boolean {
  for (let row = 0; row < a.rows; row++) if (!sameBits(a, row, b, row)) return false;
  return true;
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
