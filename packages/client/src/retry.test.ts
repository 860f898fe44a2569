import { describe, expect, test } from 'vitest';
import { readRetryAfter } from './failure.ts';
import { createRetryBudget, DEFAULT_RETRY_POLICY, retryDelayMs } from './retry.ts';

describe('the wait before a retry', () => {
  test('is anything up to a bound that doubles and is capped', () => {
    for (let attempt = 1; attempt < 20; attempt++) {
      const bound = Math.min(5000, 100 * 2 ** (attempt - 1));
      const delays = Array.from({ length: 50 }, () => retryDelayMs(DEFAULT_RETRY_POLICY, attempt, undefined));
      expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...delays)).toBeLessThanOrEqual(bound);
      expect(new Set(delays).size).toBeGreaterThan(1);
    }
  });

  test('is never shorter than the server asked for', () => {
    expect(retryDelayMs(DEFAULT_RETRY_POLICY, 1, 700)).toBeGreaterThanOrEqual(700);
  });
});

describe('Retry-After', () => {
  test.each([
    ['3', 3000],
    ['0', 0],
    ['99999999', 3_600_000],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 10_000],
    ['soon', undefined],
    ['-5', undefined],
    [undefined, undefined],
  ])('%s is %s ms', (header, expected) => {
    expect(readRetryAfter(header, 0)).toBe(expected);
  });
});

describe('the retry budget', () => {
  test('is used up by failures and filled again by successes', () => {
    const budget = createRetryBudget(4);
    expect([budget.failed(), budget.failed(), budget.failed()]).toEqual([true, false, false]);
    for (let i = 0; i < 30; i++) budget.succeeded();
    expect(budget.failed()).toBe(true);
  });
});
