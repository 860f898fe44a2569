import { describe, expect, test } from 'vitest';
import { differingOutputs } from './compare-outputs.ts';
import { dayOf, fileKey, oldestDay } from './days.ts';

describe('a day of the log', () => {
  test('is of UTC', () => {
    expect(dayOf(Date.UTC(2026, 0, 31, 23, 59, 59, 999))).toBe('2026-01-31');
    expect(dayOf(Date.UTC(2026, 1, 1))).toBe('2026-02-01');
  });

  test('is kept as many whole days as the retention says', () => {
    expect(oldestDay(Date.UTC(2026, 2, 2, 0, 1), 1)).toBe('2026-03-01');
    expect(oldestDay(Date.UTC(2026, 2, 2, 23), 2)).toBe('2026-02-28');
  });

  test('has a folder with one for each endpoint', () => {
    expect(fileKey('2026-01-31', 'ept_1', 'prf_2')).toBe('date=2026-01-31/endpoint=ept_1/prf_2.parquet');
  });
});

test('outputs differ where their exact texts do, or one side lacks them', () => {
  const logged = new Map([
    ['a', '0'],
    ['b', '0.1'],
    ['c', '1'],
  ]);
  const replayed = new Map([
    ['a', '-0'],
    ['b', '0.1'],
    ['d', '1'],
  ]);
  expect(differingOutputs(logged, replayed)).toEqual(['a', 'c', 'd']);
  expect(differingOutputs(logged, logged)).toEqual([]);
});
