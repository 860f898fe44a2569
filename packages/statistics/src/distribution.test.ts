import fc from 'fast-check';
import { expect, test } from 'vitest';
import { equalWidthEdges, histogram } from './histogram.ts';
import { normalQuantile } from './normal.ts';
import { quantiles } from './quantiles.ts';

const values = Float64Array.from({ length: 200 }, (_, i) => ((i * 37) % 101) / 101);

test('the normal quantile equals scipy.stats.norm.ppf', () => {
  expect(normalQuantile(0.975)).toBeCloseTo(1.959963984540054, 14);
  expect(normalQuantile(0.5)).toBe(0);
  expect(normalQuantile(0.001)).toBeCloseTo(-3.090232306167813, 13);
  expect(normalQuantile(1e-20)).toBeCloseTo(-9.262340089798409, 12);
  expect(normalQuantile(0.93)).toBeCloseTo(1.475791028179171, 13);
  expect([normalQuantile(0), normalQuantile(1), normalQuantile(1.1)]).toEqual([-Infinity, Infinity, NaN]);
});

test('quantiles equal numpy.quantile', () => {
  const reference = [
    0, 0.09801980198019805, 0.24504950495049505, 0.49504950495049505, 0.892079207920792, 0.9900990099009901,
  ];
  const found = quantiles(values, [0, 0.1, 0.25, 0.5, 0.9, 1]);
  for (const [i, expected] of reference.entries()) expect(found[i]).toBeCloseTo(expected, 14);
  expect(quantiles(new Float64Array(), [0.5])).toEqual([NaN]);
});

test('a histogram equals numpy.histogram', () => {
  expect(histogram(values, [0, 0.25, 0.5, 0.75, 1]).counts).toEqual([52, 49, 49, 50]);
});

test('equal-width bins hold every value once, the greatest too', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1, maxLength: 50 }),
      fc.integer({ min: 1, max: 20 }),
      (sample, binCount) => {
        const edges = equalWidthEdges(Math.min(...sample), Math.max(...sample), binCount);
        const { counts } = histogram(Float64Array.from(sample), edges);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(sample.length);
      },
    ),
  );
});
