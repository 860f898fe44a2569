/** Why a version scores a record as it does: what each feature adds to its raw score. */
import { AssayError, type Signature } from '@assay/contracts';
import type { ModelPackage } from '@assay/model-package';
import { type ExplainableTrees, explainableTrees, writeModel } from '@assay/onnx';
import { createEncoder } from '../encoder.ts';
import type { Batching, OutputBatch } from '../interfaces.ts';
import { layoutOf } from '../layout.ts';
import { outputLayoutOf } from '../output-batch.ts';
import { readServable } from '../packed-graph.ts';
import { batchOf, type LoadedGraph, runRows } from '../runner.ts';
import { openSession } from '../session.ts';
import { createTreeShap, type TreeShap } from './tree-shap.ts';

/** Additive: `baseValue` and all contributions together are `rawScore`. */
export interface Explanation {
  /** The mean raw score over the training data. */
  readonly baseValue: number;
  /** Before sigmoid and calibration: log-odds, for a binary classifier of LightGBM's or XGBoost's. */
  readonly rawScore: number;
  /** By feature; of a vector one an element. */
  readonly contributions: Readonly<Record<string, number | readonly number[]>>;
}

export interface ExplainOptions {
  /** When an answer is worthless, by the clock of `performance.now()`. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export interface Explainer {
  /**
   * In the order of the records, one at a time: the event loop goes on between two.
   * @throws AssayError INVALID_ARGUMENT for a record that the signature does not allow; DEADLINE_EXCEEDED, CANCELLED
   */
  explain(records: readonly unknown[], options?: ExplainOptions): Promise<readonly Explanation[]>;
  /** Frees its session. Not while it explains. */
  close(): void;
}

/** Sums of the same doubles in another order. */
const TOLERANCE = 1e-9;
const TOGETHER: Batching = { mode: 'any' };
const ROWS_A_RUN = 64;

/**
 * Explains the trees of a package's graph, after it was seen on the golden records that contributions and raw score agree.
 * @throws AssayError FAILED_PRECONDITION with the reason, for a model that cannot be explained
 */
export async function createExplainer(pkg: ModelPackage): Promise<Explainer> {
  const { signature, golden } = pkg.manifest;
  const { model } = readServable(await pkg.readOnnx());
  const trees = explainableTrees(model);
  if (typeof trees === 'string') throw notExplained(trees);
  const graph = await openMatrixGraph(trees, signature);
  try {
    const shap = createTreeShap(trees.ensemble, trees.covers);
    const offset = await offsetOf(graph, trees, shap, golden.records);
    return explainerOf(graph, trees, shap, offset, signature);
  } catch (error) {
    graph.session.close();
    throw error;
  }
}

function notExplained(why: string): AssayError {
  return new AssayError('FAILED_PRECONDITION', `this version cannot be explained: ${why}`);
}

/** The graph that gives what the trees see and what they make of it, fed as the version itself is. */
async function openMatrixGraph(trees: ExplainableTrees, signature: Signature): Promise<LoadedGraph> {
  const session = await openSession(writeModel(trees.model), { call: 'public', threads: 1, graphOptimization: 'all' });
  const outputs: Signature['outputs'] = [
    { name: trees.matrixName, dtype: 'float64', shape: [trees.columns.length] },
    { name: trees.rawScoreName, dtype: 'float64', shape: [trees.ensemble.targets] },
  ];
  try {
    return {
      session,
      encoder: createEncoder(layoutOf(signature, session.inputs)),
      outputs: outputLayoutOf({ features: signature.features, outputs }, session.outputs),
    };
  } catch (error) {
    session.close();
    throw error;
  }
}

interface Seen {
  readonly matrix: Float64Array;
  readonly rawScores: Float64Array;
}

async function run(graph: LoadedGraph, records: readonly unknown[]): Promise<Seen> {
  const options = { batching: TOGETHER, maxBatchRows: ROWS_A_RUN };
  const { outputs }: OutputBatch = await runRows(graph, batchOf(graph, records), 0, records.length, options);
  const [matrix, rawScores] = outputs.map(({ data }) => data);
  if (!(matrix instanceof Float64Array) || !(rawScores instanceof Float64Array)) {
    throw new AssayError('INTERNAL', 'the matrix of the trees and their sum are doubles');
  }
  return { matrix, rawScores };
}

/** What the graph adds to the sum of its trees; it is the same for every record, or the trees are not all of the score. */
async function offsetOf(
  graph: LoadedGraph,
  trees: ExplainableTrees,
  shap: TreeShap,
  records: readonly unknown[],
): Promise<number> {
  if (trees.ensemble.targets !== 1) throw notExplained(`its trees give ${trees.ensemble.targets} scores, not one`);
  const width = trees.columns.length;
  const { matrix, rawScores } = await run(graph, records);
  const offset = (rawScores[0] ?? 0) - shap.sum(matrix.subarray(0, width));
  const contributions = new Float64Array(width);
  for (const [i, rawScore] of rawScores.entries()) {
    contributions.fill(0);
    shap.explain(matrix.subarray(i * width, (i + 1) * width), contributions);
    const sum = contributions.reduce((total, value) => total + value, offset + shap.expected);
    if (!(Math.abs(sum - rawScore) <= TOLERANCE * (1 + Math.abs(rawScore)))) {
      throw notExplained(`its contributions sum to ${sum} where the graph gives ${rawScore}, for golden record ${i}`);
    }
  }
  return offset;
}

function explainerOf(
  graph: LoadedGraph,
  { columns }: ExplainableTrees,
  shap: TreeShap,
  offset: number,
  { features }: Signature,
): Explainer {
  const byColumn = new Float64Array(columns.length);
  const columnsOf = Map.groupBy(columns.keys(), (column) => columns[column]?.input ?? '');
  return {
    async explain(records, { deadlineMs = Number.POSITIVE_INFINITY, signal } = {}) {
      const { matrix, rawScores } = await run(graph, records);
      const explanations: Explanation[] = [];
      for (const [i, rawScore] of rawScores.entries()) {
        if (signal?.aborted === true) throw new AssayError('CANCELLED', 'the caller went away before the explanation');
        if (performance.now() > deadlineMs) {
          throw new AssayError('DEADLINE_EXCEEDED', `${i} of ${records.length} records were explained by the deadline`);
        }
        byColumn.fill(0);
        shap.explain(matrix.subarray(i * columns.length, (i + 1) * columns.length), byColumn);
        const contributions = features.map(({ name, shape }): [string, number | readonly number[]] => {
          const values = new Array<number>(shape.reduce((product, size) => product * size, 1)).fill(0);
          for (const column of columnsOf.get(name) ?? []) {
            const element = columns[column]?.element ?? 0;
            values[element] = (values[element] ?? 0) + (byColumn[column] ?? 0);
          }
          return [name, shape.length === 0 ? (values[0] ?? 0) : values];
        });
        explanations.push({
          baseValue: offset + shap.expected,
          rawScore,
          contributions: Object.fromEntries(contributions),
        });
        await new Promise(setImmediate);
      }
      return explanations;
    },
    close: () => graph.session.close(),
  };
}
