import { join } from 'node:path';
import { nextDown, nextUp } from '@assay/onnx';
import { DataError } from '@assay/tables';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Part } from '../../domain/prepared-rows.ts';
import { numberFeature, part } from '../../domain/rows-under-test.ts';
import { buildGraph } from '../../job/graph.ts';
import type { TrainedModel, TrainerSpec } from '../trainer.ts';
import { features, LIBRARY_CACHE, makeRows, parityOf, splitsOf, temporaryFolder } from '../trainer-under-test.ts';
import { loadXgBoost, type XgBoost } from './binding.ts';
import { findXgBoost } from './library.ts';
import { trainXgBoost } from './train.ts';

type Options = Omit<Extract<TrainerSpec, { name: 'xgboost' }>, 'name'>;

const { signal } = new AbortController();
let library: XgBoost;
const log: string[] = [];
beforeAll(async () => {
  library = loadXgBoost(await findXgBoost('cpu', { cacheDir: LIBRARY_CACHE, signal }));
  library.onLog((line) => log.push(line));
});

function train(rows: Part, options: Options, onStep = (_metric: number) => {}, threads = 1): Promise<TrainedModel> {
  return trainXgBoost(
    library,
    { name: 'xgboost', device: 'cpu', ...options },
    {
      features,
      train: rows,
      validation: makeRows(2000, 99),
      seed: 1,
      threads,
      signal,
      onStep: ({ value }) => onStep(value),
    },
  );
}

/** Each threshold, its neighbours as doubles, the float32s around it, and values at the ends of what float32 holds. */
function nasty(thresholds: readonly number[]): number[] {
  const beside = thresholds.flatMap((middle) => {
    const float32 = Math.fround(middle);
    return [middle, nextUp(middle), nextDown(middle), float32, nextUp(float32), nextDown(float32)];
  });
  return [...beside, 0, -0, 1e-46, -1e-46, 2 ** -150, -(2 ** -150), 1e39, -1e39];
}

describe('the graph equals XGBoost', () => {
  test.each<[string, Options]>([
    ['with sets of categories', { rounds: 100 }],
    ['with one category against the others', { rounds: 100, params: { max_cat_to_onehot: 100 } }],
    [
      'grown by loss, several trees a round',
      {
        rounds: 70,
        params: { grow_policy: 'lossguide', max_leaves: 40, max_depth: 0, num_parallel_tree: 2, subsample: 0.7 },
      },
    ],
    ['after many rounds, whose float32 sums have lost digits', { rounds: 1500, params: { max_depth: 3 } }],
  ])('%s, on rows at and one bit beside its thresholds, with gaps and unknown categories', async (_name, options) => {
    await using opened = new AsyncDisposableStack();
    const folder = await temporaryFolder(opened);
    const training = makeRows(20_000, 1);
    const model = await train(training, options);
    opened.defer(() => model.close());
    if (model.predictor.kind !== 'trees') throw new Error('XGBoost makes trees');
    expect(model.predictor.baseScore).not.toBe(0);
    const { thresholds, sets } = splitsOf(model.predictor.trees);
    expect(Math.min(...thresholds.map((found) => found.length), sets)).toBeGreaterThan(20); // else this would test little
    const rows = makeRows(20_000, 2, thresholds.map(nasty));
    expect(await parityOf(model, training, rows, join(folder, 'draft'))).toBeLessThan(3e-7);
  });
});

test('the same rows, parameters, seed and threads give the same bytes', async () => {
  const rows = makeRows(20_000, 7);
  const bytesOf = async () => {
    const model = await train(rows, { rounds: 30, params: { subsample: 0.8, colsample_bytree: 0.5 } }, undefined, 2);
    const bytes = buildGraph(features, model);
    model.close();
    return bytes;
  };
  expect(await bytesOf()).toEqual(await bytesOf());
});

test('training stops when the validation log loss gets no better, and keeps the best round', async () => {
  const values: number[] = [];
  const model = await train(makeRows(1000, 4), { rounds: 2000, earlyStoppingRounds: 15 }, (value) =>
    values.push(value),
  );
  const best = values.indexOf(Math.min(...values)) + 1;
  expect(values).toHaveLength(best + 15);
  expect(model.summary).toContain(`${best} rounds on cpu`);
  expect(model.predictor.kind === 'trees' ? model.predictor.trees : []).toHaveLength(best);

  // The metric is that of the probabilities that the model gives.
  const validation = makeRows(2000, 99);
  const probabilities = model.predict(validation);
  const logLoss =
    validation.labels.reduce((sum, label, row) => {
      const probability = probabilities[row] ?? Number.NaN;
      return sum - Math.log(label === 1 ? probability : 1 - probability);
    }, 0) / validation.rows;
  expect(logLoss).toBeCloseTo(values[best - 1] ?? Number.NaN, 6);
  model.close();
});

test('an abort is heard between two rounds', async () => {
  const controller = new AbortController();
  let rounds = 0;
  const training = trainXgBoost(
    library,
    { name: 'xgboost', device: 'cpu', rounds: 100_000 },
    {
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
    },
  );
  await expect(training).rejects.toThrow('enough');
  expect(rounds).toBe(3);
});

describe('what XGBoost refuses is an error at its place', () => {
  test.each<[string, Options['params'], string]>([
    [
      'an unknown parameter',
      { max_dept: 3 },
      'trainer.params.max_dept: XGBoost has no parameter "max_dept" for trees; did you mean "max_depth"?',
    ],
    [
      'a parameter of another booster',
      { rate_drop: 0.1 },
      'trainer.params.rate_drop: XGBoost has no parameter "rate_drop" for trees',
    ],
    [
      'another objective',
      { objective: 'reg:squarederror' },
      '"objective" cannot be set here: the objective is binary:logistic',
    ],
    ['another kind of trees', { tree_method: 'exact' }, '"tree_method" cannot be set here'],
    ['the same twice', { eta: 0.1, learning_rate: 0.2 }, '"eta" and "learning_rate" are the same parameter'],
    [
      'a value of another type',
      { max_depth: 'deep' },
      "trainer.params: XGBoost: Invalid Parameter format for max_depth expect int but value='deep'",
    ],
    ['a value out of its range', { subsample: 1.5 }, 'trainer.params: XGBoost: value 1.5 for Parameter subsample'],
    ['a base score that is no probability', { base_score: 3 }, 'trainer.params: XGBoost: '],
  ])('%s', async (_name, params = {}, message) => {
    const refused = train(makeRows(100, 8), { rounds: 2, params });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.not.toThrow(/Stack trace|\/workspace|\n/);
  });

  test('a value that float32 cannot hold is a data error', async () => {
    const training = trainXgBoost(
      library,
      { name: 'xgboost', device: 'cpu', rounds: 1 },
      {
        features: [numberFeature('size')],
        train: part([0, 1, 1], [1, 1e39, 3]),
        validation: part([0, 1], [1, 2]),
        seed: 1,
        threads: 1,
        signal,
        onStep() {},
      },
    );
    await expect(training).rejects.toBeInstanceOf(DataError);
    await expect(training).rejects.toThrow('features[0]: "size" holds 1e+39; XGBoost computes in float32');
  });
});

test('nothing of that made XGBoost warn of a parameter that it did not use', () => {
  expect(log.filter((line) => line.includes('are not used'))).toEqual([]);
});
