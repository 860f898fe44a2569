/** Rows through the graph: which of them at a time, in which memory, and their outputs put together again. */
import { AssayError } from '@assay/contracts';
import type { Encoder } from './encoder.ts';
import { PackedInputBatch } from './input-batch.ts';
import type { Batching, OutputBatch } from './interfaces.ts';
import { copyElements, newShiftedArray } from './layout.ts';
import { gatherOutputs, type OutputLayout, type OutputPiece } from './output-batch.ts';
import { type ElementArray, type Feeds, inputTensor, type Results, reasonOf, type Session } from './session.ts';

/** A graph loaded, with what is needed to feed and to read it. */
export interface LoadedGraph {
  readonly session: Session;
  readonly encoder: Encoder;
  readonly outputs: OutputLayout;
}

export interface RunPlan {
  readonly batching: Batching;
  readonly maxBatchRows: number;
  /** Places the rows so many elements further on in memory of their own, to see whether the graph minds. */
  readonly shiftElements?: number;
}

interface Chunk {
  readonly from: number;
  readonly rows: number;
  /** Rows that the graph gets: `rows`, and copies of the last one. */
  readonly paddedRows: number;
}

/**
 * Runs rows `from` to `from + rows` of a batch. Synchronous when the session is.
 * @throws AssayError INVALID_ARGUMENT when the runtime fails on these rows
 */
export function runRows(
  graph: LoadedGraph,
  batch: PackedInputBatch,
  from: number,
  rows: number,
  plan: RunPlan,
): OutputBatch | Promise<OutputBatch> {
  if (from < 0 || rows < 1 || from + rows > batch.rows) {
    throw new AssayError('INTERNAL', `rows ${from} to ${from + rows} of a batch of ${batch.rows} were to be run`);
  }
  const chunks = chunksOf(from, rows, plan);
  if (graph.session.isSynchronous) {
    return gatherOutputs(
      graph.outputs,
      chunks.map((chunk) => pieceOf(chunk, runNow(graph, feedsOf(graph, batch, chunk, plan)))),
    );
  }
  return runLater(graph, batch, chunks, plan);
}

function runNow({ session, outputs }: LoadedGraph, feeds: Feeds): Results {
  try {
    return session.run(feeds, outputs.names) as Results; // synchronous: never a promise
  } catch (cause) {
    throw failed(cause);
  }
}

async function runLater(
  graph: LoadedGraph,
  batch: PackedInputBatch,
  chunks: readonly Chunk[],
  plan: RunPlan,
): Promise<OutputBatch> {
  const pieces: OutputPiece[] = [];
  for (const chunk of chunks) {
    const feeds = feedsOf(graph, batch, chunk, plan);
    try {
      pieces.push(pieceOf(chunk, await graph.session.run(feeds, graph.outputs.names)));
    } catch (cause) {
      throw failed(cause);
    }
  }
  return gatherOutputs(graph.outputs, pieces);
}

function failed(cause: unknown): AssayError {
  if (cause instanceof AssayError) return cause;
  return new AssayError('INVALID_ARGUMENT', `the model fails on these records: ${reasonOf(cause)}`, { cause });
}

function pieceOf({ rows, paddedRows }: Chunk, results: Results): OutputPiece {
  return { results, rows, ranRows: paddedRows };
}

function chunksOf(from: number, rows: number, { batching, maxBatchRows }: RunPlan): Chunk[] {
  const size = batching.mode === 'row' ? 1 : maxBatchRows;
  const multiple = batching.mode === 'pad' ? batching.to : 1;
  const chunks: Chunk[] = [];
  for (let done = 0; done < rows; done += size) {
    const taken = Math.min(size, rows - done);
    chunks.push({ from: from + done, rows: taken, paddedRows: Math.ceil(taken / multiple) * multiple });
  }
  return chunks;
}

/**
 * Tensors of a chunk. They begin at byte 0 of their memory: the batch's own where the chunk is its beginning, else a fresh
 * copy. Some kernels round differently by the address of a row; those are run row by row, each in fresh memory.
 */
function feedsOf(graph: LoadedGraph, batch: PackedInputBatch, chunk: Chunk, plan: RunPlan): Feeds {
  const { from, rows, paddedRows } = chunk;
  const padsInPlace = paddedRows === rows || rows === batch.rows;
  const inPlace = from === 0 && plan.shiftElements === undefined && plan.batching.mode !== 'row' && padsInPlace;
  if (inPlace) batch.reserve(paddedRows);
  const { slots } = graph.encoder.layout;
  const feeds: Feeds = {};
  for (let i = 0; i < slots.length; i++) {
    const slot = slots[i];
    const source = batch.arrays[i];
    if (slot === undefined || source === undefined) continue;
    const { type, width } = slot;
    const length = paddedRows * width;
    let data: ElementArray = source;
    if (!inPlace) {
      data = newShiftedArray(type, length, plan.shiftElements ?? 0);
      copyElements(source, from * width, (from + rows) * width, data, 0);
    }
    for (let row = rows; row < paddedRows; row++) {
      copyElements(data, (rows - 1) * width, rows * width, data, row * width);
    }
    const exact =
      data.length === length ? data : Array.isArray(data) ? data.slice(0, length) : data.subarray(0, length);
    feeds[slot.inputName] = inputTensor(type, exact, [paddedRows, ...slot.tail]);
  }
  return feeds;
}

/** A batch with these records in it. @throws AssayError INVALID_ARGUMENT */
export function batchOf(graph: LoadedGraph, records: readonly unknown[]): PackedInputBatch {
  const batch = new PackedInputBatch(graph.encoder, records.length);
  batch.appendRecords(records);
  return batch;
}
