/** The graph in the scoring core before there is a version: what is measured is what will be served. */
import { openPackage, type PackageContent, writePackage } from '@assay/model-package';
import { createScorer, type Scorer } from '@assay/scoring';
import { goldenOfTrainer } from './package-content.ts';

export interface Draft extends AsyncDisposable {
  readonly scorer: Scorer;
  /** Library → version. */
  readonly libraries: Readonly<Record<string, string>>;
}

const MAX_BATCH_ROWS = 256;

/**
 * Writes a package into `dir` whose golden records hold the trainer's own probabilities, and loads it.
 * @throws AssayError UNPROCESSABLE_MODEL when the graph does not load, or does not reproduce them
 */
export async function openDraft(
  dir: string,
  content: Omit<PackageContent, 'golden' | 'lineage'>,
  records: readonly Record<string, unknown>[],
  probabilities: Float64Array,
  signal: AbortSignal,
): Promise<Draft> {
  await writePackage(dir, {
    ...content,
    golden: goldenOfTrainer(records, probabilities),
    lineage: { datasetSha256s: [], libraries: {}, metrics: {} },
  });
  const scorer = await createScorer(await openPackage(dir, { signal }), { maxBatchRows: MAX_BATCH_ROWS, signal });
  // `onnxruntime-node 1.30.0`
  const [name = 'onnxruntime', version = 'unknown'] = scorer.executionClass.runtime.split(' ');
  return {
    scorer,
    libraries: { [name]: version },
    async [Symbol.asyncDispose]() {
      scorer.close();
    },
  };
}
