import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openPackage } from '@assay/model-package';
import { createScorer, verifyGolden } from '@assay/scoring';
import { expect, test } from 'vitest';
import { allRows, generated } from '../../charts/generate.ts';
import { CHART } from './chart.ts';

test('values.schema.json and the table of README.md are what the code gives (make generate)', async () => {
  for (const [file, content] of generated()) expect(await readFile(join(CHART, file), 'utf8'), file).toBe(content);
});

test('every value is explained and has a default, except what has to be given', () => {
  const rows = Object.values(allRows()).flat();
  expect(rows.length).toBeGreaterThan(100);
  expect(rows.filter(({ description }) => description === '')).toEqual([]);
  expect(rows.filter((row) => row.default === undefined)).toEqual([]);
});

test('the package that helm test scores opens and reproduces its golden records', async () => {
  const model = await openPackage(join(CHART, 'files', 'helm-test'));
  const scorer = await createScorer(model, {});
  try {
    await expect(verifyGolden(scorer, model)).resolves.toBeDefined();
  } finally {
    scorer.close();
  }
});
