import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bootstrapAucInterval, deLongAucInterval } from './auc-interval.ts';
import {
  accuracy,
  averagePrecision,
  brierScore,
  expectedCalibrationError,
  logLoss,
  rocAuc,
} from './classification-metrics.ts';

/**
 * 200 rows with many tied scores, a score of 0 and 133 ones; whole-number rules, so that Python makes the same:
 * i = arange(200); s = i*37 % 101; p = s/101; y = ((i*i*13 + i*7) % 17) * 1010 < 17*s*6 + 3030
 * The numbers below are of scikit-learn 1.9.1 and scipy 1.17.
 */
const ticks = Array.from({ length: 200 }, (_, i) => (i * 37) % 101);
const scores = Float64Array.from(ticks, (tick) => tick / 101);
const labels = Uint8Array.from(ticks, (tick, i) => (((i * i * 13 + i * 7) % 17) * 1010 < 17 * tick * 6 + 3030 ? 1 : 0));

describe('metrics of a binary classifier equal the reference', () => {
  test('ROC AUC, ties counting half (roc_auc_score)', () => {
    expect(rocAuc(labels, scores)).toBeCloseTo(0.6670407361687802, 14);
  });
  test('average precision (average_precision_score)', () => {
    expect(averagePrecision(labels, scores)).toBeCloseTo(0.7901357967113024, 14);
  });
  test('log loss, a certain mistake costing a finite amount (log_loss)', () => {
    expect(scores).toContain(0);
    expect(logLoss(labels, scores)).toBeCloseTo(0.937666134735431, 13);
  });
  test('Brier score (brier_score_loss)', () => {
    expect(brierScore(labels, scores)).toBeCloseTo(0.2606548377610038, 14);
  });
  test('accuracy (accuracy_score of p > 0.5)', () => {
    expect(accuracy(labels, scores)).toBe(0.6);
  });
  test('expected calibration error over ten bins (numpy by its definition)', () => {
    expect(expectedCalibrationError(labels, scores)).toBeCloseTo(0.18861386138613856, 14);
  });
  test('the DeLong interval of the AUC (numpy by its definition, scipy.stats.norm)', () => {
    const { low, high } = deLongAucInterval(labels, scores);
    expect(low).toBeCloseTo(0.5884753477700441, 13);
    expect(high).toBeCloseTo(0.7456061245675164, 13);
  });
});

test('the bootstrap interval is near the DeLong interval, and the same for the same seed', () => {
  const exact = deLongAucInterval(labels, scores);
  const resampled = bootstrapAucInterval(labels, scores, { seed: 7 });
  expect(resampled.low).toBeCloseTo(exact.low, 1);
  expect(resampled.high).toBeCloseTo(exact.high, 1);
  expect(bootstrapAucInterval(labels, scores, { seed: 7 })).toEqual(resampled);
});

test('a metric that is not defined is NaN, and lengths that differ are refused', () => {
  const ones = Uint8Array.of(1, 1);
  expect(rocAuc(ones, Float64Array.of(0.1, 0.2))).toBeNaN();
  expect(averagePrecision(Uint8Array.of(0), Float64Array.of(0.1))).toBeNaN();
  expect(logLoss(new Uint8Array(), new Float64Array())).toBeNaN();
  expect(() => rocAuc(ones, Float64Array.of(1))).toThrow('one score a label');
});

const rows = fc.array(fc.record({ label: fc.integer({ min: 0, max: 1 }), tick: fc.integer({ min: 0, max: 12 }) }), {
  minLength: 2,
  maxLength: 60,
});

test('ROC AUC is the share of ordered pairs, counted one by one', () => {
  fc.assert(
    fc.property(rows, (sample) => {
      const ones = sample.filter((row) => row.label === 1);
      const zeros = sample.filter((row) => row.label === 0);
      let pairs = 0;
      for (const one of ones)
        for (const zero of zeros) pairs += one.tick > zero.tick ? 1 : one.tick === zero.tick ? 0.5 : 0;
      const auc = rocAuc(
        Uint8Array.from(sample, (row) => row.label),
        Float64Array.from(sample, (row) => row.tick / 12),
      );
      expect(auc).toBe(pairs / (ones.length * zeros.length));
    }),
  );
});

test('ROC AUC does not depend on the order of the rows, and turning the scores round gives one minus it', () => {
  fc.assert(
    fc.property(rows, (sample) => {
      fc.pre(new Set(sample.map((row) => row.label)).size === 2);
      const asLabels = (of: typeof sample) => Uint8Array.from(of, (row) => row.label);
      const asScores = (of: typeof sample) => Float64Array.from(of, (row) => row.tick);
      const auc = rocAuc(asLabels(sample), asScores(sample));
      const reversed = sample.toReversed();
      expect(rocAuc(asLabels(reversed), asScores(reversed))).toBe(auc);
      expect(
        rocAuc(
          asLabels(sample),
          asScores(sample).map((score) => -score),
        ),
      ).toBeCloseTo(1 - auc, 12);
    }),
  );
});
