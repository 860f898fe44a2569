/** Loads a test model as a scorer. */
import { createHash } from 'node:crypto';
import type { Scorer, ScorerOptions } from '../interfaces.ts';
import { loadScorer } from '../scorer.ts';
import type { TestModel } from './models.ts';

export function load(
  { onnx, signature }: TestModel,
  options: ScorerOptions = {},
  records: unknown[] = [],
): Promise<Scorer> {
  const digest = createHash('sha256').update(onnx).digest('hex');
  return loadScorer({ onnx, signature, digest, records }, options);
}
