import { join } from 'node:path';
import { createRandom } from '@assay/statistics';
import { beforeAll, expect, test } from 'vitest';
import type { Part } from '../../domain/prepared-rows.ts';
import { categoryFeature, numberFeature, part } from '../../domain/rows-under-test.ts';
import { signatureOf } from '../../domain/signature.ts';
import { openDraft } from '../../job/draft.ts';
import { buildGraph } from '../../job/graph.ts';
import { requireParity, scorePart } from '../../job/score-part.ts';
import { recordOf } from '../../job/served-form.ts';
import { LIBRARY_CACHE, temporaryFolder } from '../../training-under-test.ts';
import { type LightGbm, loadLightGbm } from './binding.ts';
import { findLightGbm } from './library.ts';
import { trainLightGbm } from './train.ts';

const { signal } = new AbortController();
let library: LightGbm;
beforeAll(async () => {
  library = await loadLightGbm(await findLightGbm({ cacheDir: LIBRARY_CACHE, signal }));
});

const CITIES = Array.from({ length: 60 }, (_, i) => `city-${i}`);
const KINDS = ['a', 'b', 'c', 'd', 'e', 'f'];
const features = [
  numberFeature('plain'),
  numberFeature('gaps', { nullable: true }),
  numberFeature('large'),
  numberFeature('zeros'),
  categoryFeature('city', CITIES, 50, { nullable: true }),
  categoryFeature('kind', KINDS, 6, { nullable: true }),
];

/** `numbers`: further values of the numeric columns, which then replace every fourth. */
function makeRows(rows: number, seed: number, numbers?: readonly (readonly number[])[]): Part {
  const random = createRandom(seed);
  const columns: number[][] = [[], [], [], []];
  const cities = new Int32Array(rows);
  const kinds = new Int32Array(rows);
  const labels: number[] = [];
  for (let row = 0; row < rows; row++) {
    const plain = random.nextFloat() * 10 - 5;
    const gaps = random.nextFloat() < 0.2 ? Number.NaN : Math.exp(3 * random.nextFloat()) / 7;
    const large = Math.floor(random.nextFloat() * 1e9) / 3;
    const zeros = random.nextInt(3) === 0 ? 0 : random.nextFloat() - 0.5;
    const city = random.nextInt(numbers === undefined ? 50 : 60);
    const kind = random.nextInt(6);
    for (const [i, value] of [plain, gaps, large, zeros].entries()) {
      const others = numbers?.[i] ?? [];
      columns[i]?.push(others.length > 0 && row % 4 === 0 ? (others[random.nextInt(others.length)] ?? 0) : value);
    }
    cities[row] = row % 11 === 0 ? -1 : city;
    kinds[row] = row % 13 === 0 ? -1 : kind;
    const score =
      Math.sin(plain) +
      (Number.isNaN(gaps) ? 0.3 : gaps * 0.2) +
      ((city * 37) % 11) / 10 +
      (kind === 3 ? 0.5 : 0) +
      zeros;
    labels.push(score + random.nextFloat() > 1.6 ? 1 : 0);
  }
  const [plain = [], gaps = [], large = [], zeros = []] = columns;
  return part(labels, plain, gaps, large, zeros, cities, kinds);
}

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

  const thresholds: number[][] = [[], [], [], []];
  let sets = 0;
  const pending = [...model.predictor.trees];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if ('leaf' in node) continue;
    if ('members' in node) sets++;
    else thresholds[node.feature]?.push(node.threshold, neighbour(node.threshold, 1), neighbour(node.threshold, -1));
    pending.push(node.left, node.right);
  }
  expect(Math.min(...thresholds.map((found) => found.length), sets)).toBeGreaterThan(20); // else this would test little

  const rows = makeRows(20_000, 2, thresholds);
  const golden = makeRows(100, 3);
  const { signature, problems } = signatureOf(features, { train: training, validation: golden, test: rows }, 'event');
  expect(problems).toEqual([]);
  const records = Array.from({ length: golden.rows }, (_, row) => recordOf(features, golden, row));
  const content = { onnx: buildGraph(features, model), signature };
  await using draft = await openDraft(join(folder, 'draft'), content, records, model.predict(golden), signal);
  const served = await scorePart(draft.scorer, features, rows, signal);
  expect(requireParity(served, model.predict(rows))).toBeLessThan(1e-7);
  model.close();
});

/** The double beside `value`, away from zero for 1, towards it for -1. */
function neighbour(value: number, step: 1 | -1): number {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  bits.setBigInt64(0, bits.getBigInt64(0) + BigInt(step));
  return bits.getFloat64(0);
}

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
