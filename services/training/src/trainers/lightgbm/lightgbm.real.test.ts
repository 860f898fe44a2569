import { join } from 'node:path';
import { nextDown, nextUp } from '@assay/onnx';
import { beforeAll, expect, test } from 'vitest';
import type { Part } from '../../domain/prepared-rows.ts';
import { requireParity } from '../../job/score-part.ts';
import { features, LIBRARY_CACHE, makeRows, parityOf, splitsOf, temporaryFolder } from '../trainer-under-test.ts';
import { type LightGbm, loadLightGbm } from './binding.ts';
import { findLightGbm } from './library.ts';
import { trainLightGbm } from './train.ts';

const { signal } = new AbortController();
let library: LightGbm;
beforeAll(async () => {
  library = await loadLightGbm(await findLightGbm({ cacheDir: LIBRARY_CACHE, signal }));
});

function train(
  rows: Part,
  trainer: { rounds: number; earlyStoppingRounds?: number },
  onStep = (_metric: number) => {},
) {
  return trainLightGbm(library, { name: 'lightgbm', ...trainer }, ['auc'], {
    features,
    train: rows,
    validation: makeRows(2000, 99),
    seed: 1,
    threads: 1,
    signal,
    onStep: ({ value }) => onStep(value),
  });
}

test('the graph equals LightGBM on rows at and one bit beside its thresholds, with gaps and unknown categories', async () => {
  await using opened = new AsyncDisposableStack();
  const folder = await temporaryFolder(opened);
  const training = makeRows(20_000, 1);
  const model = await train(training, { rounds: 100 });
  if (model.predictor.kind !== 'trees') throw new Error('LightGBM makes trees');
  const { thresholds, sets } = splitsOf(model.predictor.trees);
  expect(Math.min(...thresholds.map((found) => found.length), sets)).toBeGreaterThan(7); // else this would test little
  const beside = thresholds.map((found) => found.flatMap((value) => [value, nextUp(value), nextDown(value)]));
  const rows = makeRows(20_000, 2, beside);
  expect(await parityOf(model, training, rows, join(folder, 'draft'))).toBeLessThan(1e-7);
  model.close();
});

test('a graph that differs from its trainer is refused', () => {
  expect(() => requireParity(Float64Array.of(0.5, 0.7), Float64Array.of(0.5, 0.7001))).toThrow('in 1 of 2 test rows');
  expect(() => requireParity(Float64Array.of(Number.NaN), Float64Array.of(0.5))).toThrow('in 1 of 1');
});

test('training stops when the validation metric gets no better, and keeps the best round', async () => {
  const values: number[] = [];
  const model = await train(makeRows(1000, 4), { rounds: 2000, earlyStoppingRounds: 15 }, (value) =>
    values.push(value),
  );
  const best = values.indexOf(Math.max(...values)) + 1;
  expect(values).toHaveLength(best + 15);
  expect(model.summary).toContain(`${best} rounds`);
  expect(model.predictor.kind === 'trees' ? model.predictor.trees : []).toHaveLength(best);
  model.close();
});

test('an abort is heard between two rounds', async () => {
  const controller = new AbortController();
  let rounds = 0;
  const training = trainLightGbm(library, { name: 'lightgbm', rounds: 100_000 }, undefined, {
    features,
    train: makeRows(1000, 5),
    validation: makeRows(500, 6),
    seed: 1,
    threads: 1,
    signal: controller.signal,
    onStep() {
      rounds++;
      if (rounds === 3) controller.abort(new Error('enough'));
    },
  });
  await expect(training).rejects.toThrow('enough');
  expect(rounds).toBe(3);
});
