import { expect, test } from 'vitest';
import { deadlineAfter, deadlineSignal, parseTimeoutMs, remainingMs } from './deadlines.ts';

test('a time-out is read, and the default holds without one', () => {
  expect(parseTimeoutMs('250', 1000)).toBe(250);
  expect(parseTimeoutMs('600000', 1000)).toBe(600_000);
  expect(parseTimeoutMs(undefined, 1000)).toBe(1000);
});

test.each(['0', '-1', '1.5', '1e3', '600001', '9999999', '', ' 5', '5ms', ['1', '2']])(
  '%j is no time-out',
  (header) => {
    expect(() => parseTimeoutMs(header, 1000)).toThrow('whole number of milliseconds from 1 to 600000');
  },
);

test('what is left of a deadline shrinks to nothing', () => {
  expect(remainingMs(deadlineAfter(10_000))).toBeGreaterThan(9000);
  expect(remainingMs(performance.now() - 5)).toBe(0);
});

test('a deadline aborts with a TimeoutError, the caller with its own reason', async () => {
  const late = deadlineSignal(performance.now() - 1);
  await new Promise((resolve) => late.addEventListener('abort', resolve, { once: true }));
  expect(late.reason).toMatchObject({ name: 'TimeoutError' });
  const caller = new AbortController();
  const both = deadlineSignal(deadlineAfter(60_000), caller.signal);
  caller.abort(new Error('gone'));
  expect(both.reason).toMatchObject({ message: 'gone' });
});
