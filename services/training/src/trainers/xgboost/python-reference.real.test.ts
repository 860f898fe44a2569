import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Part } from '../../domain/prepared-rows.ts';
import { XGBOOST_VERSION } from '../libraries/wheels.ts';
import { features, LIBRARY_CACHE, makeRows, temporaryFolder } from '../trainer-under-test.ts';
import { loadXgBoost } from './binding.ts';
import { findXgBoost } from './library.ts';
import { trainXgBoost } from './train.ts';

const SCRIPT = join(import.meta.dirname, 'python_reference.py');
const OPTIONS = { rounds: 300, earlyStoppingRounds: 10 } as const;
const PARAMS = { max_depth: 5, eta: 0.2, subsample: 0.8, colsample_bytree: 0.8, reg_lambda: 2 } as const;

interface Reference {
  readonly version: string;
  readonly logLosses: readonly number[];
  readonly rounds: number;
  readonly predictions: readonly number[];
}

/** A category that no training row holds has no place in a pandas column of those categories: it is missing there. */
function plain(part: Part) {
  const columns = features.map((feature, i) => {
    const column = part.columns[i];
    if (column?.kind === 'number') return Array.from(column.values, (value) => (Number.isNaN(value) ? null : value));
    const known = feature.kind === 'category' ? feature.knownCount : 0;
    return Array.from(column?.codes ?? [], (code) => (code < known ? code : -1));
  });
  return { columns, labels: [...part.labels] };
}

test("the same rows, parameters, seed and thread give what XGBoost's Python package gives, round by round", async () => {
  await using opened = new AsyncDisposableStack();
  const file = join(await temporaryFolder(opened), 'rows.json');
  const [train, validation, rows] = [makeRows(5000, 21), makeRows(2000, 22), makeRows(2000, 23, [])];
  await writeFile(
    file,
    JSON.stringify({
      names: features.map(({ name }) => name),
      categories: features.map((feature) => (feature.kind === 'category' ? feature.knownCount : null)),
      train: plain(train),
      validation: plain(validation),
      test: plain(rows),
      params: { ...PARAMS, seed: 7, nthread: 1 },
      ...OPTIONS,
    }),
  );
  const { stdout } = await promisify(execFile)('python3', [SCRIPT, file], { maxBuffer: 1 << 24 });
  const reference: Reference = JSON.parse(stdout);
  expect(reference.version).toBe(XGBOOST_VERSION);

  const { signal } = new AbortController();
  const library = loadXgBoost(await findXgBoost('cpu', { cacheDir: LIBRARY_CACHE, signal }));
  const logLosses: number[] = [];
  const model = await trainXgBoost(
    library,
    { name: 'xgboost', device: 'cpu', ...OPTIONS, params: PARAMS },
    { features, train, validation, seed: 7, threads: 1, signal, onStep: ({ value }) => logLosses.push(value) },
  );
  opened.defer(() => model.close());
  expect(logLosses).toEqual(reference.logLosses);
  expect(model.summary).toContain(`${reference.rounds} rounds`);
  expect(reference.rounds).toBeGreaterThan(10);
  const ours = model.predict(rows);
  const largest = Math.max(...reference.predictions.map((value, row) => Math.abs(value - (ours[row] ?? Number.NaN))));
  expect(largest).toBeLessThan(3e-7); // theirs are sums of float32
});
