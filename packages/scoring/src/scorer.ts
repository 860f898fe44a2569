/** Loads a version: the fastest way to run it that gives the bits of the plain way, and what is to be known about it. */
import { AssayError, type Signature } from '@assay/contracts';
import type { ModelPackage } from '@assay/model-package';
import { openPlaced, type SessionPlace } from './apart/open-placed.ts';
import { checkBatchInvariance, MIN_INVARIANCE_ROWS, sameRows } from './batch-invariance.ts';
import { createEncoder } from './encoder.ts';
import { executionClass } from './execution-class.ts';
import { verifyGolden } from './golden-records.ts';
import { PackedInputBatch } from './input-batch.ts';
import type { Batching, InputBatch, OutputBatch, Scorer, ScorerOptions } from './interfaces.ts';
import { layoutOf } from './layout.ts';
import { longRun, measureBoth } from './measure-runs.ts';
import { outputLayoutOf } from './output-batch.ts';
import { cachedPackedGraph, type PackedGraph, readServable } from './packed-graph.ts';
import { batchOf, type LoadedGraph, runRows } from './runner.ts';
import { type ElementType, nativeCallIsKnown, type Session } from './session.ts';
import { syntheticRecords } from './synthetic-records.ts';

const DEFAULT_MAX_BATCH_ROWS = 64;
const SYNTHETIC_SEED = 1;
/** A run on the event loop holds up every other request for so long; the way to a thread and back costs a tenth of it. */
const MAX_LOOP_RUN_US = 3000;
/** More of a package's own records would prove no more and take long. */
const MAX_CHECK_RECORDS = 1000;
/** The two ways are compared run by run as they will be used: all rows together. */
const TOGETHER: Batching = { mode: 'any' };

/**
 * Loads a package, checks that its golden records reproduce, and gives its scorer. The graph is packed and called natively
 * if that gives, on the golden records and on records made from the signature, the bits of the original graph called the
 * public way; otherwise that way is taken, and `notes` says so.
 *
 * A graph that is not trusted is loaded by `loadInChild` first: some end the process that runs them.
 * @throws AssayError UNPROCESSABLE_MODEL when it does not load, does not fit its signature or does not reproduce;
 *   CANCELLED when `signal` is aborted
 */
export async function createScorer(pkg: ModelPackage, options: ScorerOptions = {}): Promise<Scorer> {
  const { signature, golden } = pkg.manifest;
  const onnx = await pkg.readOnnx();
  const scorer = await loadScorer({ onnx, signature, digest: pkg.digest, records: golden.records }, options);
  try {
    await verifyGolden(scorer, pkg);
  } catch (error) {
    scorer.close();
    throw error;
  }
  return scorer;
}

export interface ScorerSource {
  readonly onnx: Uint8Array;
  readonly signature: Signature;
  readonly digest: string;
  /** What the version is checked with; more are made from the signature. */
  readonly records: readonly unknown[];
}

/** As `createScorer`, without golden outputs to compare with. */
export async function loadScorer(source: ScorerSource, options: ScorerOptions = {}): Promise<Scorer> {
  const { maxBatchRows = DEFAULT_MAX_BATCH_ROWS, threads = 1, graphOptimization = 'all', signal } = options;
  const { provider = 'cpu', place: wished = 'loop' } = options;
  if (!Number.isInteger(maxBatchRows) || maxBatchRows < 1 || maxBatchRows > 65_536) {
    throw new AssayError('INVALID_ARGUMENT', `maxBatchRows is ${maxBatchRows}, expected an integer from 1 to 65536`);
  }
  const { model, onnx } = readServable(source.onnx);
  // Loading alone can hold the loop up for seconds on a GPU.
  let place: SessionPlace = wished !== 'auto' ? wished : provider === 'cpu' ? 'loop' : 'thread';
  const opened: LoadedGraph[] = [];
  const open = async ({ call, packed }: Way): Promise<LoadedGraph> => {
    const graph = await loadGraph(source.signature, packed, () =>
      openPlaced(packed?.onnx ?? onnx, place, {
        call,
        threads,
        graphOptimization,
        provider,
        fallback: options.fallback ?? false,
        ...(options.onEnded === undefined ? {} : { onEnded: options.onEnded }),
      }),
    );
    opened.push(graph);
    return graph;
  };
  let chosen: LoadedGraph | undefined;
  const facts = { signature: source.signature, digest: source.digest, maxBatchRows };
  const classified = executionClass({ threads, graphOptimization, provider });
  try {
    const { found } = options;
    if (found?.digest === source.digest) {
      place = found.place;
      const packed = found.packed ? await cachedPackedGraph(model, source.digest, options.cacheDir) : undefined;
      chosen = await open({ call: found.call, ...(packed === undefined ? {} : { packed }) });
      return scorerOf(chosen, { ...facts, ...found, executionClass: classified, packed: packed !== undefined });
    }
    const notes: string[] = [];
    const reference = await open({ call: 'public' });
    const invarianceRows = Math.max(MIN_INVARIANCE_ROWS, maxBatchRows);
    const records = await checkRecords(reference, source, invarianceRows);
    const run = (graph: LoadedGraph) => runAll(graph, records, maxBatchRows, signal);
    const expected = await run(reference);
    const reproducible = sameRows(expected, await run(reference));
    if (!reproducible) notes.push('the graph gives other bits each time it is run');
    const isRight = async (graph: LoadedGraph) => !reproducible || sameRows(expected, await run(graph));

    const packed = await cachedPackedGraph(model, source.digest, options.cacheDir);
    let chosenWay: Way = { call: 'public' };
    for (const way of await waysToRun(packed, options, notes)) {
      const graph = await open(way);
      if (await isRight(graph)) {
        chosen = graph;
        chosenWay = way;
        break;
      }
      notes.push(
        `the ${way.packed ? 'packed' : 'original'} graph by the ${way.call} call gives other bits than the original by the public one`,
      );
    }
    chosen ??= reference;
    const rows = batchOf(chosen, records.slice(0, invarianceRows));
    const invariance = await checkBatchInvariance(chosen, rows, {
      maxBatchRows,
      rowsTogether: provider !== 'cpu',
      ...(signal === undefined ? {} : { signal }),
    });
    if (provider !== 'cpu' && !invariance.batchInvariant) {
      notes.push(`on ${provider} a row gets other bits in other company; rows are run together all the same`);
    }
    const plan = { batching: invariance.batching, maxBatchRows };
    let measured = await measureBoth(chosen, rows, plan);
    if (wished === 'auto' && place === 'loop' && measured.fullBatchUs > MAX_LOOP_RUN_US) {
      place = 'thread';
      const apart = await open(chosenWay);
      if (await isRight(apart)) {
        chosen = apart;
        measured = await measureBoth(apart, batchOf(apart, records.slice(0, invarianceRows)), plan);
      } else {
        place = 'loop';
        notes.push('the graph gives other bits in a thread of its own: it stays on the loop, and holds it up');
      }
    }
    const usual = { rows: maxBatchRows, measured };
    const long = await longRun(chosen, records, invariance, usual, options.longRunRows ?? 0);
    if (long !== undefined) measured = long.measured;
    return scorerOf(chosen, {
      ...facts,
      maxBatchRows: long?.rows ?? maxBatchRows,
      executionClass: classified,
      call: chosenWay.call,
      place,
      repeatable: reproducible,
      ...invariance,
      packed: chosenWay.packed !== undefined,
      notes,
      measured,
    });
  } catch (error) {
    chosen = undefined;
    throw error;
  } finally {
    for (const graph of opened) if (graph !== chosen) graph.session.close();
  }
}

/** The fastest first; the original by the public call, which each must equal, is not among them. */
async function waysToRun(packed: PackedGraph | undefined, options: ScorerOptions, notes: string[]): Promise<Way[]> {
  const packedWay = (call: Way['call']): Way[] => (packed === undefined ? [] : [{ call, packed }]);
  if (options.call === 'public') return packedWay('public');
  if (await nativeCallIsKnown()) return [...packedWay('native'), { call: 'native' }, ...packedWay('public')];
  notes.push('the native call of this ONNX Runtime is not known; the public one is used');
  return packedWay('public');
}

/** One of the ways to run the graph, which should give the same bits. */
interface Way {
  readonly call: 'native' | 'public';
  readonly packed?: PackedGraph;
}

function scorerOf(graph: LoadedGraph, facts: Omit<Scorer, 'newBatch' | 'run' | 'close'>): Scorer {
  const plan = { batching: facts.batching, maxBatchRows: facts.maxBatchRows };
  let closed = false;
  return {
    ...facts,
    newBatch: (capacityRows = facts.maxBatchRows) => new PackedInputBatch(graph.encoder, capacityRows),
    run(batch: InputBatch, fromRow = 0, rows = batch.rows - fromRow) {
      if (closed) throw new AssayError('UNAVAILABLE', 'the version is unloaded');
      if (!(batch instanceof PackedInputBatch) || batch.encoder !== graph.encoder) {
        throw new AssayError('INTERNAL', 'a batch is run by the scorer that made it');
      }
      return runRows(graph, batch, fromRow, rows, plan);
    },
    close() {
      if (closed) return;
      closed = true;
      graph.session.close();
    },
  };
}

async function loadGraph(
  signature: Signature,
  packed: PackedGraph | undefined,
  open: () => Promise<Session>,
): Promise<LoadedGraph> {
  const session = await open();
  try {
    const encoder = createEncoder(layoutOf(signature, session.inputs, packed?.columns));
    return { session, encoder, outputs: outputLayoutOf(signature, session.outputs) };
  } catch (error) {
    session.close();
    throw error;
  }
}

/**
 * At least `count` records: the given ones, then such as the signature allows. Where the graph fails on those (an index out
 * of a table, say), the given ones again and again.
 */
async function checkRecords(graph: LoadedGraph, source: ScorerSource, count: number): Promise<readonly unknown[]> {
  const { signature } = source;
  const records = source.records.slice(0, Math.max(count, MAX_CHECK_RECORDS));
  if (records.length > 0) {
    try {
      await runAll(graph, records, records.length);
    } catch (cause) {
      const error = AssayError.from(cause);
      throw new AssayError('UNPROCESSABLE_MODEL', `the version does not score its own records: ${error.message}`, {
        details: error.details,
        cause,
      });
    }
  }
  if (records.length >= count) return records;
  const integerTypes: Record<string, ElementType> = Object.fromEntries(
    graph.encoder.columns.map(({ feature, graphType }) => [feature.name, graphType]),
  );
  const made = syntheticRecords(signature, count - records.length, SYNTHETIC_SEED, integerTypes);
  try {
    await runAll(graph, made, made.length);
    return [...records, ...made];
  } catch (cause) {
    if (records.length === 0) {
      const error = AssayError.from(cause);
      throw new AssayError(
        'UNPROCESSABLE_MODEL',
        `the graph fails on records made from its signature, and came with none of its own: ${error.message}`,
        { cause },
      );
    }
    return Array.from({ length: count }, (_, i) => records[i % records.length]);
  }
}

/** All rows, as many at a time as a batch may have. */
async function runAll(
  graph: LoadedGraph,
  records: readonly unknown[],
  maxBatchRows: number,
  signal?: AbortSignal,
): Promise<OutputBatch> {
  signal?.throwIfAborted();
  return runRows(graph, batchOf(graph, records), 0, records.length, {
    batching: graph.encoder.layout.oneRow ? { mode: 'row' } : TOGETHER,
    maxBatchRows,
  });
}
