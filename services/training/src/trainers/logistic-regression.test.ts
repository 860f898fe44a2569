import type { LinearTerm } from '@assay/onnx';
import { expect, test } from 'vitest';
import { categoryFeature, numberFeature, part } from '../domain/rows-under-test.ts';
import { trainLogisticRegression } from './logistic-regression.ts';

const { signal } = new AbortController();

/**
 * 300 rows by whole-number rules, so that Python makes the same: a = i*37 % 101 (missing where i % 11 = 0), b = i*53 % 17,
 * c = (i*i + 3i) % 5, which is 0, 3 or 4; y = ((i*i*7 + i*11) % 29) * 10 < (a or 50) + 20c + 3b.
 */
const rows = Array.from({ length: 300 }, (_, i) => i);
const a = rows.map((i) => (i % 11 === 0 ? Number.NaN : (i * 37) % 101));
const b = rows.map((i) => (i * 53) % 17);
const c = rows.map((i) => (i * i + 3 * i) % 5);
const labels = rows.map((i) => {
  const known = a[i] ?? 0;
  const right = (Number.isNaN(known) ? 50 : known) + (c[i] ?? 0) * 20 + (b[i] ?? 0) * 3;
  return ((i * i * 7 + i * 11) % 29) * 10 < right ? 1 : 0;
});
const features = [numberFeature('a'), categoryFeature('c', ['0', '3', '4']), numberFeature('b')];
const train = part(
  labels,
  a,
  Int32Array.from(c, (value) => [0, 3, 4].indexOf(value)),
  b,
);

const request = { features, train, validation: train, seed: 1, threads: 1, signal, onStep: () => undefined };

test('the weights equal those of scikit-learn on imputed, standardised, one-hot columns', async () => {
  expect(labels.filter((label) => label === 1)).toHaveLength(137);
  const { predictor } = await trainLogisticRegression({ name: 'logistic-regression', l2: 0.5 }, request);
  if (predictor.kind !== 'linear') throw new Error('a linear model is no trees');
  // scikit-learn 1.9.1: LogisticRegression(C=2, tol=1e-14, solver='lbfgs'), polished by scipy's BFGS.
  expect(predictor.intercept).toBeCloseTo(-0.10205156, 5);
  const [termOfA, termOfC, termOfB]: readonly (LinearTerm | undefined)[] = predictor.terms;
  expect(termOfA).toMatchObject({ kind: 'number', weight: expect.closeTo(0.43905328, 5) });
  expect(termOfB).toMatchObject({
    kind: 'number',
    weight: expect.closeTo(0.28765587, 5),
    mean: expect.closeTo(7.97, 1),
  });
  expect(termOfC).toMatchObject({
    kind: 'category',
    weights: [-0.75732632, 0.26040385, 0.49692268].map((weight) => expect.closeTo(weight, 5)),
  });
});

test('a missing number counts as the mean, and an unknown or missing category as none', async () => {
  const model = await trainLogisticRegression({ name: 'logistic-regression' }, request);
  const { predictor } = model;
  if (predictor.kind !== 'linear') throw new Error('a linear model is no trees');
  const [termOfA, , termOfB] = predictor.terms;
  if (termOfA?.kind !== 'number' || termOfB?.kind !== 'number') throw new Error('numbers have number terms');
  const [probability, ofUnknown] = model.predict(
    part([0, 0], [Number.NaN, termOfA.mean], Int32Array.of(-1, 9), [termOfB.mean, termOfB.mean]),
  );
  expect(probability).toBeCloseTo(1 / (1 + Math.exp(-predictor.intercept)), 12);
  expect(ofUnknown).toBe(probability);
});

test('rows that a line parts are learned without a penalty, and without a number that is none', async () => {
  const separable = part([0, 0, 1, 1], [1, 2, 3, 4]);
  const model = await trainLogisticRegression(
    { name: 'logistic-regression', l2: 0, maxIterations: 20 },
    { ...request, features: [numberFeature('a')], train: separable, validation: separable },
  );
  expect([...model.predict(separable)].map(Math.round)).toEqual([0, 0, 1, 1]);
});

test('too many categories are refused with what to do', async () => {
  const many = categoryFeature(
    'id',
    Array.from({ length: 5000 }, (_, i) => `id-${i}`),
  );
  await expect(
    trainLogisticRegression(
      { name: 'logistic-regression' },
      { ...request, features: [many], train: part([0, 1], Int32Array.of(0, 1)) },
    ),
  ).rejects.toThrow('5001 weights');
});

test('an abort stops it', async () => {
  const stopped = AbortSignal.abort(new Error('stopped'));
  await expect(
    trainLogisticRegression({ name: 'logistic-regression' }, { ...request, signal: stopped }),
  ).rejects.toThrow('stopped');
});
