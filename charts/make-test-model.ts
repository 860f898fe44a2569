/**
 * `node charts/make-test-model.ts` writes the package that `helm test` registers and scores: files/helm-test of the chart.
 * To be run again when the format of packages changes; a test holds that what is there still opens and still scores.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MANIFEST_FILE, MLMODEL_FILE, MODEL_FILE } from '@assay/model-package';
import { buildTabularModel } from '@assay/onnx';
import { packageFromOnnx } from '@assay/scoring';

const FOLDER = join(import.meta.dirname, 'assay', 'files', 'helm-test');
const number = { dtype: 'float64', encoding: { kind: 'number' } } as const;

const onnx = buildTabularModel({
  features: [
    { name: 'distance', ...number },
    { name: 'hour', ...number },
  ],
  predictor: {
    kind: 'linear',
    intercept: -1,
    terms: [
      { kind: 'number', mean: 700, scale: 500, weight: 0.5 },
      { kind: 'number', mean: 14, scale: 5, weight: 0.75 },
    ],
  },
});
const work = await mkdtemp(join(tmpdir(), 'assay-test-model-'));
try {
  const dir = join(work, 'package');
  const examples = [100, 500, 700, 2500].flatMap((distance) => [6, 14, 23].map((hour) => ({ distance, hour })));
  await packageFromOnnx(onnx, { dir, examples, description: 'Whether an installation scores.' });
  for (const file of [MANIFEST_FILE, MLMODEL_FILE, MODEL_FILE]) {
    await writeFile(join(FOLDER, file), await readFile(join(dir, file)));
  }
} finally {
  await rm(work, { recursive: true });
}
