import type { ErrorDetail, Feature } from '@assay/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PackedInputBatch } from './input-batch.ts';
import type { ElementType } from './session.ts';
import { encoderFor } from './testing/encoder-for.ts';
import { feature } from './testing/models.ts';

const FEATURES: readonly Feature[] = [
  feature('distance', 'float64', { range: { min: 0 } }),
  feature('ratio', 'float32', { nullable: true }),
  feature('count', 'int64', { range: { min: -5, max: 1e6 } }),
  feature('carrier', 'string', { nullable: true }),
  feature('class', 'string', { values: { set: 'closed', values: ['A', 'B', 'é'] } }),
  feature('holiday', 'bool'),
  feature('at', 'timestamp'),
  feature('history', 'float32', { shape: [3] }),
  feature('level', 'int64', { values: { set: 'closed', values: [0, 1, 2] } }),
];
const RECORD = {
  distance: 300.5,
  ratio: 0.1,
  count: 7,
  carrier: 'AA',
  class: 'B',
  holiday: true,
  at: '2024-02-29T12:00:00.000001Z',
  history: [1, -2.5, 3e-2],
  level: 2,
};
const TYPES: Record<string, ElementType> = { level: 'int8' };

/** The row as the scanner stores it, where it ends, and the row as the encoder stores what JSON.parse gives. */
function bothWays(json: string, features: readonly Feature[] = FEATURES, types = TYPES) {
  const encoder = encoderFor(features, types);
  const scanned = encoder.newArrays(2);
  const bytes = Buffer.from(json);
  const end = encoder.scan(bytes, 0, 1, scanned);
  let record: unknown;
  try {
    record = JSON.parse(json);
  } catch {
    return { end, length: bytes.length, isRight: false, scanned: [], encoded: [] };
  }
  const encoded = encoder.newArrays(2);
  const details: ErrorDetail[] = [];
  const isRight = encoder.encode(record, 1, encoded, '', details);
  return { end, length: bytes.length, isRight, scanned: scanned.map(bits), encoded: encoded.map(bits) };
}

/** -0 is not 0, and NaN is NaN. */
function bits(array: ArrayLike<unknown>): unknown[] {
  return Array.from(array, (value) => (Object.is(value, -0) ? '-0' : value));
}

describe('a record in its usual form', () => {
  test.each([
    ['as it is', RECORD],
    ['in another order', Object.fromEntries(Object.entries(RECORD).toReversed())],
    ['with a null', { ...RECORD, ratio: null, carrier: null }],
    ['without what may be missing', { ...RECORD, ratio: undefined, carrier: undefined }],
    ['with wide letters', { ...RECORD, carrier: 'Ünïted 航空 😀', class: 'é' }],
    ['with an empty string', { ...RECORD, carrier: '' }],
    ['with a minus zero', { ...RECORD, distance: -0, history: [-0, 0, -0] }],
    ['with whole numbers', { ...RECORD, distance: 123456789012, count: -5 }],
    ['with many digits', { ...RECORD, distance: 0.12345678901234568, ratio: 1e-40 }],
  ])('is stored as the encoder stores it: %s', (_how, record) => {
    for (const space of [0, 1]) {
      const { end, length, isRight, scanned, encoded } = bothWays(JSON.stringify(record, null, space));
      expect(isRight).toBe(true);
      expect(end).toBe(length);
      expect(scanned).toEqual(encoded);
    }
  });

  test('may be followed by anything', () => {
    const encoder = encoderFor([feature('x', 'float64')]);
    const json = Buffer.from('[ {"x":1} , {"x":2}]');
    const arrays = encoder.newArrays(2);
    const end = encoder.scan(json, 1, 0, arrays);
    expect(json.subarray(end).toString()).toBe(' , {"x":2}]');
    expect(encoder.scan(json, end + 2, 1, arrays)).toBe(json.length - 1);
    expect([...(arrays[0] ?? [])]).toEqual([1, 2]);
  });

  test('is read in whatever order records come', () => {
    const encoder = encoderFor(['a', 'b', 'c'].map((name) => feature(name, 'float64')));
    const arrays = encoder.newArrays(1);
    for (const order of ['abc', 'cba', 'bca', 'abc', 'cab']) {
      const json = `{${[...order].map((name) => `"${name}":${name.charCodeAt(0)}`).join(',')}}`;
      expect(encoder.scan(Buffer.from(json), 0, 0, arrays)).toBe(json.length);
      expect(arrays.map(([value]) => value)).toEqual([97, 98, 99]);
    }
  });
});

describe('what is left to the encoder', () => {
  const json = JSON.stringify(RECORD);
  test.each([
    ['a feature twice', json.replace('"ratio":0.1', '"ratio":0.1,"ratio":0.2')],
    ['an unknown feature', json.replace('}', ',"speed":1}')],
    ['a missing feature', json.replace('"count":7,', '')],
    ['an escape in a string', json.replace('"AA"', '"A\\u0041"')],
    ['an escape in a name', json.replace('"ratio"', '"r\\u0061tio"')],
    ['a prototype', json.replace('}', ',"__proto__":1}')],
    ['an integer with an exponent', json.replace('"count":7', '"count":7e0')],
    ['an integer with a fraction', json.replace('"count":7', '"count":7.0')],
    ['an integer of many digits', json.replace('"count":7', '"count":9007199254740993')],
    ['an integer out of its range', json.replace('"count":7', '"count":-6')],
    ['a number out of its range', json.replace('300.5', '-1')],
    ['a number that float32 has not', json.replace('"ratio":0.1', '"ratio":1e39')],
    ['a value out of its set', json.replace('"B"', '"C"')],
    ['an integer out of its set', json.replace('"level":2', '"level":3')],
    ['no time', json.replace('2024-02-29', '2023-02-29')],
    ['a list that is too short', json.replace('[1,-2.5,0.03]', '[1,-2.5]')],
    ['a list that is too long', json.replace('[1,-2.5,0.03]', '[1,-2.5,0.03,4]')],
    ['null for what may not be missing', json.replace('true', 'null')],
    ['a leading zero', json.replace('300.5', '0300.5')],
    ['a plus', json.replace('300.5', '+300.5')],
    ['half a literal', json.replace('true', 'tru')],
    ['a literal with more behind it', json.replace('true', 'trueish')],
    ['a raw control character', json.replace('"AA"', '"A\u0001"')],
    ['a comma too many', json.replace('}', ',}')],
    ['no brace at the end', json.slice(0, -1)],
    ['a list', `[${json}]`],
    ['nothing', '{}'],
  ])('%s', (_what, text) => {
    expect(bothWays(text).end).toBe(-1);
  });

  test('bytes that are no UTF-8', () => {
    const encoder = encoderFor([feature('carrier', 'string')]);
    const bytes = Buffer.from('{"carrier":"A?"}');
    bytes[13] = 0xff;
    expect(encoder.scan(bytes, 0, 0, encoder.newArrays(1))).toBe(-1);
  });

  test.each([
    ['a closed set of numbers', feature('x', 'float64', { values: { set: 'closed', values: [1, 2] } }), '1'],
    ['a matrix', feature('x', 'float64', { shape: [1, 1] }), '[[1]]'],
    ['a name that JSON writes with an escape', feature('a"b', 'float64'), '1'],
    ['a name of other letters', feature('größe', 'float64'), '1'],
  ])('%s', (_what, one, value) => {
    expect(bothWays(`{${JSON.stringify(one.name)}:${value}}`, [one]).end).toBe(-1);
  });
});

test('whatever is taken has the bits that the encoder gives it', () => {
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.integer().map(String),
    fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
    fc.tuple(fc.integer({ min: -999, max: 999 }), fc.integer({ min: 0, max: 99_999 })).map(([a, b]) => `${a}.${b}`),
    fc.constantFrom('-0', '0', '00', '1.', '.5', '-', '1e5', '1E+5', '-0.0', '1e400', '0x10', 'NaN', '01', '1_0'),
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 8 }).map((value) => JSON.stringify(value)),
    fc.string({ unit: 'grapheme', maxLength: 8 }).map((value) => JSON.stringify(value)),
    fc.constantFrom('"2024-01-01T00:00:00Z"', '"A"', '"B"', '"é"', '"', '""', '"\\"'),
  );
  const value = fc.oneof(
    { weight: 4, arbitrary: number },
    { weight: 4, arbitrary: text },
    fc.constantFrom('true', 'false', 'null', '{}', '[]', 'tru'),
    fc.array(number, { minLength: 2, maxLength: 4 }).map((list) => `[${list.join(',')}]`),
  );
  const own: Readonly<Record<string, fc.Arbitrary<string>>> = Object.fromEntries(
    Object.entries(RECORD).map(([name, usual]) => [
      name,
      fc.oneof({ weight: 9, arbitrary: fc.constant(JSON.stringify(usual)) }, value),
    ]),
  );
  const space = fc.constantFrom('', '', '', ' ', '\n', '\t\r\n ', '\f');
  const entries = fc
    .record(own)
    .chain((values) =>
      fc.tuple(
        fc.oneof(
          { weight: 5, arbitrary: fc.shuffledSubarray(Object.keys(values), { minLength: Object.keys(values).length }) },
          fc.shuffledSubarray([...Object.keys(values), 'distance', 'speed', '__proto__']),
        ),
        fc.array(space, { minLength: 4, maxLength: 4 }),
        fc.constant(values),
      ),
    );
  let taken = 0;
  fc.assert(
    fc.property(entries, ([names, [a, b, c, d], values]) => {
      const json = `${a}{${names.map((name) => `${b}"${name}"${c}:${d}${values[name] ?? 1}${a}`).join(',')}}`;
      const both = bothWays(json);
      if (both.end < 0) return;
      taken++;
      expect(both.isRight, json).toBe(true);
      expect(both.end).toBe(both.length);
      expect(both.scanned, json).toEqual(both.encoded);
    }),
    { numRuns: 3000 },
  );
  expect(taken).toBeGreaterThan(300);
});

test('a batch takes the record, or nothing of it', () => {
  const batch = new PackedInputBatch(encoderFor([feature('x', 'float64'), feature('y', 'float64')]), 1);
  const right = Buffer.from('{"x":1,"y":2}');
  expect(batch.scanRecord(right, 0)).toBe(right.length);
  expect(batch.scanRecord(Buffer.from('{"x":3,"y":"4"}'), 0)).toBe(-1);
  expect(batch.rows).toBe(1);
  expect(batch.scanRecord(right, 0)).toBe(right.length); // grown meanwhile
  expect(batch.arrays.map((array) => [...array].slice(0, batch.rows))).toEqual([
    [1, 1],
    [2, 2],
  ]);
});
