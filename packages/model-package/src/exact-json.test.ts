import fc from 'fast-check';
import { expect, test } from 'vitest';
import { exactInteger, parseExactJson, stringifyExactJson } from './exact-json.ts';

test('integer literals beyond 2^53 are bigints, all else is as JSON.parse gives it', () => {
  expect(
    parseExactJson('[9007199254740993, -9007199254740993, 9007199254740991, 1.5, 1e30, 0.12345678901234566]'),
  ).toEqual([9_007_199_254_740_993n, -9_007_199_254_740_993n, 9_007_199_254_740_991, 1.5, 1e30, 0.12345678901234566]);
  expect(parseExactJson('12345678901234567')).toBe(12_345_678_901_234_567n);
  expect(parseExactJson('{"id": "12345678901234567", "__proto__": 12345678901234567}')).toEqual(
    JSON.parse('{"id": "12345678901234567", "__proto__": 0}', (key, value) =>
      key === '__proto__' ? 12_345_678_901_234_567n : value,
    ),
  );
});

test('a literal with a fraction stays a double, however long', () => {
  expect(parseExactJson('[12345678901234567.0, 12345678901234567e1]')).toEqual([
    12_345_678_901_234_568, 123_456_789_012_345_660,
  ]);
});

test('an integer literal of any length is read in no time', () => {
  const begin = performance.now();
  expect(parseExactJson(`{"a": ${'9'.repeat(2_000_000)}, "b": -${'1'.repeat(41)}}`)).toEqual({
    a: Number.POSITIVE_INFINITY,
    b: Number(`-${'1'.repeat(41)}`),
  });
  expect(parseExactJson(`[${'1'.repeat(39)}]`)).toEqual([BigInt('1'.repeat(39))]);
  expect(performance.now() - begin).toBeLessThan(2000);
});

test('text that is no JSON is refused', () => {
  expect(() => parseExactJson('{"a": 12345678901234567')).toThrow(SyntaxError);
  expect(() => parseExactJson('NaN')).toThrow(SyntaxError);
});

test('int64 values survive being written and read', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const read = parseExactJson(stringifyExactJson({ value, list: [value] }));
      const expected = Number.isSafeInteger(Number(value)) ? Number(value) : value;
      expect(read).toEqual({ value: expected, list: [expected] });
      expect(JSON.stringify(exactInteger(value))).toBe(value.toString());
    }),
  );
});

test('text without long integers is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      if (!/\d{16}/.test(text)) expect(parseExactJson(text)).toEqual(JSON.parse(text));
    }),
  );
});
