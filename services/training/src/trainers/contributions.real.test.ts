import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openPackage, writePackage } from '@assay/model-package';
import type { TreePredictor } from '@assay/onnx';
import { createExplainer } from '@assay/scoring';
import { describe, expect, test } from 'vitest';
import { signatureOf } from '../domain/signature.ts';
import { buildGraph } from '../job/graph.ts';
import { goldenOfTrainer } from '../job/package-content.ts';
import { recordOf } from '../job/served-form.ts';
import { toMatrix } from './lightgbm/train.ts';
import { treesOf as treesOfLightGbm } from './lightgbm/trees.ts';
import { features, makeRows, temporaryFolder } from './trainer-under-test.ts';
import { treesOf as treesOfXgBoost } from './xgboost/trees.ts';

const SCRIPT = join(import.meta.dirname, 'contributions_reference.py');
const CATEGORICAL = [...features.keys()].filter((i) => features[i]?.kind === 'category');

interface Reference {
  readonly model: unknown;
  /** One list a row: by feature, the base value last. */
  readonly contributions: readonly (readonly number[])[];
  readonly rawScores: readonly number[];
}

async function referenceOf(dir: string, library: string, params: object, rows: ReturnType<typeof makeRows>) {
  const columnsOf = (part: typeof rows) => {
    const { values } = toMatrix(part, features);
    return features.map((_, i) =>
      Array.from(values.subarray(i * part.rows, (i + 1) * part.rows), (value) => (Number.isNaN(value) ? null : value)),
    );
  };
  const train = makeRows(6000, 31);
  const file = join(dir, 'rows.json');
  await writeFile(
    file,
    JSON.stringify({
      library,
      params,
      categorical: CATEGORICAL,
      train: { columns: columnsOf(train), labels: [...train.labels] },
      test: { columns: columnsOf(rows) },
    }),
  );
  const { stdout } = await promisify(execFile)('python3', [SCRIPT, file], { maxBuffer: 1 << 28 });
  const reference: Reference = JSON.parse(stdout);
  return reference;
}

describe.each([
  {
    library: 'lightgbm',
    params: { num_leaves: 31, min_data_in_leaf: 5, seed: 1 },
    predictor: (model: unknown): TreePredictor => treesOfLightGbm(model),
    tolerance: 1e-6,
  },
  {
    library: 'xgboost',
    params: { max_depth: 6, eta: 0.3, seed: 1 },
    predictor: (model: unknown): TreePredictor => ({
      kind: 'trees',
      ...treesOfXgBoost(model),
      unknownIsMissing: true,
    }),
    tolerance: 2e-5, // its contributions are sums of float32
  },
])('contributions of $library', ({ library, params, predictor, tolerance }) => {
  test('are what the library itself says, and add up to the raw score', async () => {
    await using opened = new AsyncDisposableStack();
    const dir = await temporaryFolder(opened);
    const rows = makeRows(200, 32);
    const reference = await referenceOf(dir, library, params, rows);
    const onnx = buildGraph(features, {
      predictor: predictor(reference.model),
      predict: () => new Float64Array(),
      libraries: {},
      summary: '',
      close() {},
    });
    const { signature } = signatureOf(features, { train: makeRows(6000, 31), validation: rows, test: rows }, 'event');
    const records = Array.from({ length: rows.rows }, (_, row) => recordOf(features, rows, row));
    const probabilities = Float64Array.from(reference.rawScores, (raw) => 1 / (1 + Math.exp(-raw)));
    const golden = goldenOfTrainer(records, probabilities);
    const packageDir = join(dir, 'package');
    const lineage = { datasetSha256s: [], libraries: {}, metrics: {} };
    await writePackage(packageDir, { onnx, signature, golden, lineage });
    const explainer = await createExplainer(await openPackage(packageDir));
    opened.defer(() => explainer.close());

    const explanations = await explainer.explain(records);
    let largest = 0;
    let nonzero = 0;
    for (const [row, { baseValue, rawScore, contributions }] of explanations.entries()) {
      const theirs = reference.contributions[row] ?? [];
      const ours = [...features.map(({ name }) => Number(contributions[name])), baseValue];
      for (const [i, value] of ours.entries()) largest = Math.max(largest, Math.abs(value - (theirs[i] ?? Number.NaN)));
      nonzero += ours.filter((value) => value !== 0).length;
      const sum = ours.reduce((total, value) => total + value, 0);
      expect(Math.abs(sum - rawScore)).toBeLessThan(1e-9);
      expect(Math.abs(rawScore - (reference.rawScores[row] ?? Number.NaN))).toBeLessThan(tolerance);
    }
    expect(largest).toBeLessThan(tolerance);
    const late = explainer.explain(records, { deadlineMs: performance.now() - 1 });
    await expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    const gone = explainer.explain(records, { signal: AbortSignal.abort() });
    await expect(gone).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(nonzero).toBeGreaterThan(5 * rows.rows); // each feature counts
  });
});
