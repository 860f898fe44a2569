import { expect, test } from 'vitest';
import { SPLIT } from './prepared-rows.ts';
import { parseInstant, splitByChance, splitByTime } from './split.ts';

test('rows are split at instants: each belongs to the part that has begun', () => {
  const parts = splitByTime(BigInt64Array.of(0n, 99n, 100n, 199n, 200n, 10_000n), 100n, 200n);
  const { train, validation, test } = SPLIT;
  expect([...parts]).toEqual([train, train, validation, validation, test, test]);
});

test('a split by chance has about the wanted shares, and is the same for the same seed', () => {
  const parts = splitByChance(10_000, { validation: 0.2, test: 0.1 }, 7);
  const count = (part: number) => parts.filter((found) => found === part).length;
  // Four standard deviations around the expected count.
  expect(Math.abs(count(SPLIT.validation) - 2000)).toBeLessThan(160);
  expect(Math.abs(count(SPLIT.test) - 1000)).toBeLessThan(120);
  expect(splitByChance(10_000, { validation: 0.2, test: 0.1 }, 7)).toEqual(parts);
  expect(splitByChance(10_000, { validation: 0.2, test: 0.1 }, 8)).not.toEqual(parts);
});

test.each([
  ['1970-01-01', 0n],
  ['1970-01-01T00:00:01Z', 1_000_000n],
  ['1970-01-01T01:00:00.000001+01:00', 1n],
  ['1969-12-31T23:59:59.999999Z', -1n],
  ['2001-05-01T00:00:00Z', 988_675_200_000_000n],
])('the instant %s is %i microseconds', (text, microseconds) => {
  expect(parseInstant(text)).toBe(microseconds);
});

test.each(['', 'yesterday', '2001-05', '2001-13-01', '2001-05-01T00:00:00', '2001-05-01 00:00:00Z'])(
  'an instant without a full date, or with a time but no offset, is none: %j',
  (text) => {
    expect(parseInstant(text)).toBeUndefined();
  },
);
