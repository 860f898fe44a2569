import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTimestamp, parseTimestamp } from './timestamp.ts';

test.each([
  ['1970-01-01T00:00:00Z', 0n],
  ['1969-12-31T23:59:59.999999Z', -1n],
  ['2026-11-25T12:00:00.5+02:00', 1_795_600_800_500_000n],
  ['2026-11-25t12:00:00-00:30', 1_795_609_800_000_000n],
  ['2000-02-29 00:00:00.000000000Z', 951_782_400_000_000n],
  ['0001-01-01T00:00:00Z', -62_135_596_800_000_000n],
  ['9999-12-31T23:59:59.999999Z', 253_402_300_799_999_999n],
])('%s is %s microseconds', (text, microseconds) => {
  expect(parseTimestamp(text)).toBe(microseconds);
});

test.each([
  '2026-11-25',
  '2026-11-25T12:00:00',
  '2026-11-25T12:00Z',
  '2026-02-29T00:00:00Z',
  '2026-00-10T00:00:00Z',
  '2026-13-10T00:00:00Z',
  '2026-04-31T00:00:00Z',
  '2026-11-25T24:00:00Z',
  '2026-11-25T12:60:00Z',
  '2016-12-31T23:59:60Z',
  '2026-11-25T12:00:00+24:00',
  '2026-11-25T12:00:00.1234567Z',
  '2026-11-25T12:00:00.Z',
  ' 2026-11-25T12:00:00Z',
  '2026-11-25T12:00:00Z\n',
  '',
  '0',
])('%j is no instant that is known exactly', (text) => {
  expect(parseTimestamp(text)).toBeUndefined();
});

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -62_167_219_200_000_000n, max: 253_402_300_799_999_999n }), (microseconds) => {
      const text = formatTimestamp(microseconds);
      expect(text).toBeDefined();
      expect(parseTimestamp(text ?? '')).toBe(microseconds);
    }),
  );
});

test('agrees with Date to the millisecond', () => {
  fc.assert(
    fc.property(
      fc.date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
      (date) => {
        expect(parseTimestamp(date.toISOString())).toBe(BigInt(date.getTime()) * 1000n);
      },
    ),
  );
});

test('beyond the year 9999 there is no text', () => {
  expect(formatTimestamp(2n ** 63n - 1n)).toBeUndefined();
  expect(formatTimestamp(-(2n ** 63n))).toBeUndefined();
});
