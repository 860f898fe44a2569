import { expect, test } from 'vitest';
import { cheapest } from './measure-runs.ts';

const runs = (rows: number, rowUs: number) => ({ rows, measured: { oneRowUs: 20, fullBatchUs: rows * rowUs } });

test('the run that is the cheapest by the row is taken', () => {
  expect(cheapest([runs(512, 4.4), runs(256, 4.3), runs(128, 3)])?.rows).toBe(128);
  expect(cheapest([runs(512, 2), runs(256, 2.5), runs(128, 3)])?.rows).toBe(512);
});

test('of those that cost about the same, the longest', () => {
  expect(cheapest([runs(128, 2), runs(256, 2.05), runs(512, 2.2)])?.rows).toBe(256);
});

test('of none, none', () => {
  expect(cheapest([])).toBeUndefined();
});
