/** Scores rows with the one scoring core: what a job measures is what will be served. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import type { Scorer } from '@assay/scoring';
import type { Part, PreparedFeature } from '../domain/prepared-rows.ts';
import { tensorsOf } from './served-form.ts';

/** The probability of the event for each row of a part. */
export async function scorePart(
  scorer: Scorer,
  features: readonly PreparedFeature[],
  part: Part,
  signal: AbortSignal,
): Promise<Float64Array> {
  const probabilities = new Float64Array(part.rows);
  const batch = scorer.newBatch(scorer.maxBatchRows);
  for (let from = 0; from < part.rows; from += scorer.maxBatchRows) {
    await nextTurn();
    signal.throwIfAborted();
    const to = Math.min(from + scorer.maxBatchRows, part.rows);
    batch.clear();
    batch.appendTensors(tensorsOf(features, part, from, to));
    const { data } = (await scorer.run(batch)).tensor('probabilities');
    if (!(data instanceof Float32Array)) throw new AssayError('INTERNAL', 'probabilities are not float32');
    for (let row = from; row < to; row++) probabilities[row] = data[(row - from) * 2 + 1] ?? Number.NaN;
  }
  return probabilities;
}

/** What rounding the output to float32 costs, and the last bits of another order of summing, many times over. */
export const PARITY_TOLERANCE = 1e-6;

/**
 * Holds the graph against the trainer's own predictions on every row.
 * @returns the largest difference
 * @throws AssayError INTERNAL beyond the tolerance: such a version must not be registered
 */
export function requireParity(graph: Float64Array, trainer: Float64Array): number {
  let largest = 0;
  let worst = 0;
  let beyond = 0;
  for (const [row, probability] of graph.entries()) {
    const difference = Math.abs(probability - (trainer[row] ?? Number.NaN));
    if (!(difference <= PARITY_TOLERANCE)) beyond++;
    if (difference > largest || Number.isNaN(difference)) {
      largest = difference;
      worst = row;
    }
  }
  if (beyond === 0) return largest;
  throw new AssayError(
    'INTERNAL',
    `the exported graph differs from the trained model in ${beyond} of ${graph.length} test rows, most in row ${worst}: ${graph[worst]} instead of ${trainer[worst]}`,
  );
}
