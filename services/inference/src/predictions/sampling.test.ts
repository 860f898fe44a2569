import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createRate } from './sampling.ts';

describe('a rate', () => {
  let nowMs = 0;
  beforeEach(() => {
    nowMs = 1000;
    vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  });

  afterEach(() => void vi.restoreAllMocks());

  test('gives a second at once, then so many a second', () => {
    const rate = createRate(100);
    expect([rate.take(30), rate.take(100), rate.take(1)]).toEqual([30, 70, 0]);
    let taken = 0;
    for (let ms = 0; ms < 10_000; ms++) {
      nowMs++;
      taken += rate.take(3);
    }
    expect(taken).toBeGreaterThanOrEqual(984);
    expect(taken).toBeLessThanOrEqual(1000);
  });

  test('once it is spent, gives nothing until a run of 16 may go, and those one after another', () => {
    const rate = createRate(1000);
    expect(rate.take(1000)).toBe(1000);
    nowMs += 15;
    expect(rate.take(1)).toBe(0);
    nowMs += 1;
    expect(Array.from({ length: 20 }, () => rate.take(1))).toEqual([...Array(16).fill(1), 0, 0, 0, 0]);
  });

  test.each([1, 3])('of %i a second waits for no more than that', (perSecond) => {
    const rate = createRate(perSecond);
    expect(rate.take(9)).toBe(perSecond);
    nowMs += 999;
    expect(rate.take(9)).toBe(0);
    nowMs += 1;
    expect(rate.take(9)).toBe(perSecond);
  });

  test('that is not used up gives each of those that come', () => {
    const rate = createRate(500);
    for (let i = 0; i < 5000; i++) {
      nowMs += 2.5;
      expect(rate.take(1)).toBe(1);
    }
  });
});
