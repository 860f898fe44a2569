import { createRandom } from '@assay/statistics';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runCost } from './run-cost.ts';

/** Of runs ahead: longer than all that waits vary. */
const LONG_MS = 1e6;
const MEASURED = { oneRowUs: 1000, fullBatchUs: 8000 };

test('what runs take is what they took at the warm-up, then what they take', () => {
  const cost = runCost(MEASURED, 8);
  expect([cost.expectedMs(1), cost.expectedMs(8), cost.expectedMs(16)]).toEqual([1, 8, 16]);
  for (let i = 0; i < 200; i++) cost.observeRun(8, 24);
  expect(cost.expectedMs(8)).toBeCloseTo(24, 3);
  expect(cost.expectedMs(1)).toBeCloseTo(3, 3);
});

describe('what callers wait besides', () => {
  test('is nothing until it is seen, and what is always the same is believed as it is', () => {
    const cost = runCost(MEASURED, 8);
    expect(cost.overheadMs(LONG_MS)).toBe(0);
    for (let i = 0; i < 200; i++) cost.observeOverhead(5);
    expect(cost.overheadMs(LONG_MS)).toBeCloseTo(5, 2);
  });

  test('is hardly ever longer than expected, however it varies', () => {
    const mostMs = fc.double({ min: 0.1, max: 500, noNaN: true });
    const shape = fc.constantFrom<(unit: number) => number>(
      (unit) => unit,
      (unit) => unit ** 3, // mostly short
      (unit) => (unit < 0.8 ? 0.1 : 1), // now and then long
      (unit) => -Math.log(1 - unit) / 5,
    );
    fc.assert(
      fc.property(mostMs, shape, fc.integer(), (most, of, seed) => {
        const random = createRandom(seed);
        const cost = runCost(MEASURED, 8);
        let longer = 0;
        const next = () => most * of(random.nextFloat());
        for (let i = 0; i < 200; i++) cost.observeOverhead(next());
        for (let i = 0; i < 1000; i++) {
          const waitMs = next();
          if (waitMs > cost.overheadMs(LONG_MS)) longer++;
          cost.observeOverhead(waitMs);
        }
        expect(longer).toBeLessThan(30);
      }),
      { numRuns: 50 },
    );
  });

  test('is given no more room to vary than the runs ahead take', () => {
    const cost = runCost(MEASURED, 8);
    for (let i = 0; i < 1000; i++) cost.observeOverhead(i % 2 === 0 ? 10 : 90);
    expect(cost.overheadMs(LONG_MS)).toBeGreaterThan(100);
    expect(cost.overheadMs(1)).toBeLessThan(60);
    expect(cost.overheadMs(20) - cost.overheadMs(1)).toBeCloseTo(19, 6);
  });

  test('is less once it is less', () => {
    const cost = runCost(MEASURED, 8);
    for (let i = 0; i < 100; i++) cost.observeOverhead(i % 2 === 0 ? 0 : 100);
    expect(cost.overheadMs(LONG_MS)).toBeGreaterThan(100);
    for (let i = 0; i < 200; i++) cost.observeOverhead(1);
    expect(cost.overheadMs(LONG_MS)).toBeLessThan(2);
  });

  test('can be less than nothing where runs take less than expected, and is then nothing', () => {
    const cost = runCost(MEASURED, 8);
    for (let i = 0; i < 100; i++) cost.observeOverhead(-10);
    expect(cost.overheadMs(LONG_MS)).toBe(0);
  });
});
