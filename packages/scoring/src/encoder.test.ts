import { AssayError, type ErrorDetail, type Feature } from '@assay/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PackedInputBatch } from './input-batch.ts';
import type { ElementType } from './session.ts';
import { encoderFor } from './testing/encoder-for.ts';
import { feature } from './testing/models.ts';

function encode(features: readonly Feature[], record: unknown, types: Record<string, ElementType> = {}) {
  const encoder = encoderFor(features, types);
  const arrays = encoder.newArrays(1);
  const details: ErrorDetail[] = [];
  const accepted = encoder.encode(record, 0, arrays, 'records[0]', details);
  return { accepted, details, values: arrays.map((array) => [...array]) };
}

function detailsOf(act: () => unknown): readonly ErrorDetail[] {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(AssayError);
    const refused = AssayError.from(error);
    expect(refused.code).toBe('INVALID_ARGUMENT');
    return refused.details;
  }
  throw new Error('nothing was refused');
}

describe('a record', () => {
  test('is stored as its signature says', () => {
    const { accepted, values } = encode(
      [
        feature('distance', 'float64'),
        feature('ratio', 'float32'),
        feature('count', 'int64'),
        feature('carrier', 'string'),
        feature('holiday', 'bool'),
        feature('at', 'timestamp'),
      ],
      { distance: 300.5, ratio: 0.1, count: 7, carrier: 'AA', holiday: true, at: '1970-01-01T00:00:01.000002Z' },
    );
    expect(accepted).toBe(true);
    expect(values).toEqual([[300.5], [Math.fround(0.1)], [7n], ['AA'], [1], [1_000_002n]]);
  });

  test.each([
    ['null', null, 'null is not allowed'],
    ['a boolean', true, 'true is not a number'],
    ['a numeric string', '300', '"300" is not a number'],
    ['an array', [300], 'an array of 1 is not a number'],
    ['an object', { valueOf: 300 }, 'an object is not a number'],
    ['NaN', Number.NaN, 'NaN is not a value here'],
    ['Infinity', JSON.parse('1e999'), 'the number is not finite'],
    ['nothing', undefined, 'is required'],
  ])('with %s for a number is refused at its place', (_what, value, message) => {
    const { accepted, details } = encode([feature('distance', 'float64')], { distance: value });
    expect(accepted).toBe(false);
    expect(details).toEqual([{ place: 'records[0].distance', message, expected: 'a finite number' }]);
  });

  test('reports every wrong place and what was expected there', () => {
    const { details } = encode(
      [
        feature('distance', 'float64', { range: { min: 0, max: 5000 }, unit: 'km' }),
        feature('carrier', 'string', { values: { set: 'closed', values: ['UA', 'AA'] } }),
        feature('count', 'int64'),
      ],
      { distance: -1, carrier: 'UAA', count: 1.5, distence: 3 },
    );
    expect(details).toEqual([
      {
        place: 'records[0].distance',
        message: '-1 is outside the range',
        expected: 'a finite number, from 0 to 5000 (km)',
      },
      {
        place: 'records[0].carrier',
        message: '"UAA" is not one of the allowed values; did you mean "UA"?',
        expected: 'one of "UA", "AA"',
      },
      { place: 'records[0].count', message: '1.5 is not an integer', expected: 'an integer' },
      { place: 'records[0].distence', message: 'unknown feature "distence"; did you mean "distance"?' },
    ]);
  });

  test('takes an unknown value of an open set as it is', () => {
    const open = feature('carrier', 'string', { values: { set: 'open', values: ['AA'] } });
    expect(encode([open], { carrier: 'new' })).toMatchObject({ accepted: true, values: [['new']] });
  });

  test('may leave out or null what is nullable', () => {
    const features = [feature('a', 'float64', { nullable: true }), feature('b', 'string', { nullable: true })];
    expect(encode(features, {})).toMatchObject({ accepted: true, values: [[Number.NaN], ['']] });
    expect(encode(features, { a: null, b: null })).toMatchObject({ accepted: true, values: [[Number.NaN], ['']] });
    expect(encode(features, { a: Number.NaN })).toMatchObject({ accepted: true, values: [[Number.NaN], ['']] });
  });

  test.each([[null], [undefined], ['text'], [3], [[1]], [true]])('that is %j is refused', (record) => {
    const { accepted, details } = encode([feature('a', 'float64', { nullable: true })], record);
    expect(accepted).toBe(false);
    expect(details).toMatchObject([{ place: 'records[0]', expected: 'an object of named features' }]);
  });

  test('keeps integers beyond 2^53 when they come as bigints, and refuses them as doubles', () => {
    const features = [feature('id', 'int64')];
    expect(encode(features, { id: 2n ** 53n + 1n })).toMatchObject({
      accepted: true,
      values: [[9_007_199_254_740_993n]],
    });
    expect(encode(features, { id: 2n ** 63n - 1n })).toMatchObject({ accepted: true });
    expect(encode(features, { id: 2n ** 63n }).details[0]?.message).toContain('is beyond');
    expect(encode(features, { id: 2 ** 53 }).details[0]?.message).toContain('may have lost its exact value');
  });

  test('takes a long integer literal for a float as JSON.parse does', () => {
    const features = [feature('x', 'float64')];
    expect(encode(features, { x: 12_345_678_901_234_567_890n })).toMatchObject({
      accepted: true,
      values: [[12_345_678_901_234_567_000]],
    });
  });

  test('is rounded to float32, and refused beyond its range', () => {
    const features = [feature('x', 'float32')];
    expect(encode(features, { x: 1e-46 })).toMatchObject({ accepted: true, values: [[0]] });
    expect(encode(features, { x: 3.5e38 }).details[0]?.message).toBe('3.5e+38 is beyond the range of float32');
  });

  test('meets float32 bounds and sets as float32', () => {
    const inSet = feature('x', 'float32', { values: { set: 'closed', values: [0.1, 0.2] }, range: { max: 0.2 } });
    expect(encode([inSet], { x: 0.1 }).accepted).toBe(true);
    expect(encode([inSet], { x: Math.fround(0.2) }).accepted).toBe(true);
    expect(encode([inSet], { x: 0.3 }).accepted).toBe(false);
  });

  test('keeps the bounds of a smaller integer of the graph', () => {
    const features = [feature('x', 'int64')];
    expect(encode(features, { x: 127 }, { x: 'int8' })).toMatchObject({ accepted: true, values: [[127]] });
    expect(encode(features, { x: 128 }, { x: 'int8' }).details[0]).toMatchObject({
      expected: 'an integer from -128 to 127',
    });
    expect(encode(features, { x: -1 }, { x: 'uint64' }).accepted).toBe(false);
  });

  test('may hold a nullable integer, which is a double in the graph', () => {
    const features = [feature('x', 'int64', { nullable: true })];
    expect(encode(features, { x: 5 }, { x: 'float64' })).toMatchObject({ accepted: true, values: [[5]] });
    expect(encode(features, {}, { x: 'float64' })).toMatchObject({ accepted: true, values: [[Number.NaN]] });
    expect(encode(features, { x: 2n ** 53n + 1n }, { x: 'float64' }).accepted).toBe(false);
    expect(() => encoderFor(features)).toThrow(/int64 has no missing value/);
  });

  test.each(['a\0b', '\0', '\ud800', 'x\udc00y'])(
    'with the string %j, which the graph would not get whole, is refused',
    (text) => {
      expect(encode([feature('s', 'string')], { s: text }).accepted).toBe(false);
    },
  );

  test('with a vector must have its shape', () => {
    const features = [feature('x', 'float32', { shape: [2, 3] })];
    const right = [
      [1, 2, 3],
      [4, 5, 6],
    ];
    expect(encode(features, { x: right })).toMatchObject({ accepted: true, values: [[1, 2, 3, 4, 5, 6]] });
    expect(encode(features, { x: [1, 2, 3, 4, 5, 6] }).details[0]?.place).toBe('records[0].x');
    expect(
      encode(features, {
        x: [
          [1, 2, 3],
          [4, 5],
        ],
      }).details[0],
    ).toMatchObject({ place: 'records[0].x[1]', message: 'has 2 elements, not 3' });
    expect(
      encode(features, {
        x: [
          [1, 2, 3],
          [4, null, 6],
        ],
      }).details[0]?.place,
    ).toBe('records[0].x[1][1]');
  });

  test('is not found on the prototype', () => {
    const features = ['constructor', 'toString', 'hasOwnProperty'].map((name) => feature(name, 'float64'));
    expect(encode(features, {}).details.map(({ message }) => message)).toEqual(features.map(() => 'is required'));
    const record = { constructor: 2, toString: 3, hasOwnProperty: 4 };
    expect(encode(features, record)).toMatchObject({ accepted: true, values: [[2], [3], [4]] });
    const polluting = JSON.parse('{"x": 1, "__proto__": {"y": 2}}');
    expect(encode([feature('x', 'float64')], polluting).details).toMatchObject([
      { message: 'unknown feature "__proto__"' },
    ]);
  });

  test('with thousands of unknown features costs little and reports a few', () => {
    const record = Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`unknown${i}`.repeat(20), i]));
    const { details } = encode([feature('a', 'float64')], record);
    expect(details.length).toBeLessThanOrEqual(21);
  });

  test.each(['");throw 1;("', "a'b", 'a\\', 'x\u2028y', '`x`', '</script>', 'a]b', '\n', '}}', '//'])(
    'may have a feature called %j',
    (name) => {
      expect(encode([feature(name, 'float64')], { [name]: 3 })).toMatchObject({ accepted: true, values: [[3]] });
      expect(encode([feature(name, 'float64')], {}).accepted).toBe(false);
    },
  );
});

describe('a batch', () => {
  const features = [feature('x', 'float64'), feature('s', 'string')];

  test('appends all records or none', () => {
    const batch = new PackedInputBatch(encoderFor(features), 2);
    batch.appendRecords([{ x: 1, s: 'a' }]);
    const details = detailsOf(() => batch.appendRecords([{ x: 2, s: 'b' }, { x: '3', s: 'c' }, { x: 4 }]));
    expect(details.map(({ place }) => place)).toEqual(['records[1].x', 'records[2].s']);
    expect(batch.rows).toBe(1);
    expect(detailsOf(() => batch.appendRecords([]))).toMatchObject([{ place: 'records', message: 'is empty' }]);
  });

  test('judges records one by one where asked', () => {
    const batch = new PackedInputBatch(encoderFor(features), 1);
    expect(batch.tryAppendRecord({ x: 1, s: 'a' })).toBeUndefined();
    expect(batch.tryAppendRecord({ x: null, s: 'a' })).toMatchObject([{ place: 'x' }]);
    expect(batch.tryAppendRecord({ x: 2, s: 'b' })).toBeUndefined();
    expect(batch.rows).toBe(2);
  });

  test('refuses more than it may hold before it makes room for it', () => {
    const wide = Array.from({ length: 2000 }, (_, i) => feature(`x${i}`, 'float64', { nullable: true }));
    const batch = new PackedInputBatch(encoderFor(wide), 1);
    const many: unknown[] = new Array(100_000).fill({});
    expect(() => batch.appendRecords(many)).toThrow(expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE' }));
    const narrow = new PackedInputBatch(encoderFor(features), 1);
    expect(() => narrow.appendRecords(new Array(2 ** 20 + 1).fill({}))).toThrow(/at most 1048576 rows/);
  });

  test('grows, gives up rows from its middle, and keeps the others in order', () => {
    const batch = new PackedInputBatch(encoderFor(features), 1);
    for (let i = 0; i < 10; i++) batch.appendRecords([{ x: i, s: `s${i}` }]);
    batch.remove(2, 3);
    batch.truncate(6);
    expect([...(batch.arrays[0] ?? [])].slice(0, batch.rows)).toEqual([0, 1, 5, 6, 7, 8]);
    expect([...(batch.arrays[1] ?? [])].slice(0, batch.rows)).toEqual(['s0', 's1', 's5', 's6', 's7', 's8']);
  });
});

const dtypes = fc.constantFrom<Feature['dtype'][]>('float32', 'float64', 'int64', 'string', 'bool', 'timestamp');
const anyFeature = fc
  .record({
    name: fc.oneof(fc.string({ minLength: 1, maxLength: 12 }), fc.constantFrom('constructor', 'valueOf', 'a b', '0')),
    dtype: dtypes,
    nullable: fc.boolean(),
    shape: fc.constantFrom<number[][]>([], [], [], [2], [2, 2]),
    range: fc.option(fc.constantFrom({ min: -5 }, { max: 10 }, { min: -1, max: 1.5 }), { nil: undefined }),
    closed: fc.boolean(),
  })
  .map(({ dtype, nullable, range, closed, ...rest }): Feature => {
    const sets: Record<Feature['dtype'], (string | number | boolean)[]> = {
      float32: [0, 0.1, 1],
      float64: [0, 0.1, 1],
      int64: [0, 1, 7],
      string: ['a', '', 'ü'],
      bool: [true],
      timestamp: ['1970-01-01T00:00:00Z'],
    };
    const numeric = dtype === 'float32' || dtype === 'float64' || dtype === 'int64' || dtype === 'timestamp';
    return {
      ...rest,
      dtype,
      nullable: nullable && (dtype === 'float32' || dtype === 'float64' || dtype === 'string'),
      ...(range !== undefined && numeric ? { range } : {}),
      ...(closed ? { values: { set: 'closed' as const, values: sets[dtype] } } : {}),
    };
  });
const anyValue = fc.oneof(
  fc.double(),
  fc.integer({ min: -10, max: 10 }),
  fc.constantFrom<unknown>(
    0,
    0.1,
    1,
    -0,
    7,
    'a',
    '',
    'ü',
    true,
    false,
    null,
    undefined,
    Number.NaN,
    1n,
    2n ** 60n,
    2n ** 64n,
  ),
  fc.constantFrom<unknown>(
    '1970-01-01T00:00:00Z',
    '2026-02-30T00:00:00Z',
    '2026-02-03T04:05:06.123456+02:00',
    'a\0',
    '\ud800',
  ),
  fc.string(),
  fc.array(fc.oneof(fc.double(), fc.constantFrom<unknown>(0, 1, 'a', null)), { maxLength: 3 }),
  fc.array(fc.array(fc.constantFrom<unknown>(0, 1, 'a', null, true), { minLength: 2, maxLength: 2 }), {
    minLength: 2,
    maxLength: 2,
  }),
  fc.object(),
);

test('generated code takes exactly what the rules take, and stores the same', () => {
  const cases = fc
    .uniqueArray(anyFeature, { minLength: 1, maxLength: 6, selector: ({ name }) => name })
    .chain((features) =>
      fc.tuple(
        fc.constant(features),
        fc.array(
          fc
            .tuple(...features.map(({ name }) => fc.tuple(fc.constant(name), anyValue)))
            .map((entries) => Object.fromEntries(entries)),
          { minLength: 1, maxLength: 4 },
        ),
      ),
    );
  let accepted = 0;
  fc.assert(
    fc.property(cases, ([features, records]) => {
      const fast = encoderFor(features);
      const careful = encoderFor(features, {}, false);
      for (const record of records) {
        const fastArrays = fast.newArrays(1);
        const carefulArrays = careful.newArrays(1);
        const fastDetails: ErrorDetail[] = [];
        const carefulDetails: ErrorDetail[] = [];
        const taken = fast.encode(record, 0, fastArrays, '', fastDetails);
        expect(careful.encode(record, 0, carefulArrays, '', carefulDetails)).toBe(taken);
        expect(fastDetails).toEqual(carefulDetails);
        expect(taken).toBe(fastDetails.length === 0);
        if (taken) {
          accepted++;
          expect(fastArrays).toEqual(carefulArrays);
        }
      }
    }),
    { numRuns: 2000 },
  );
  expect(accepted).toBeGreaterThan(20);
});

test('no value at all makes the encoder throw', () => {
  const encoder = encoderFor([feature('a', 'float64'), feature('s', 'string'), feature('t', 'timestamp')]);
  const arrays = encoder.newArrays(1);
  fc.assert(
    fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }), (value) => {
      const details: ErrorDetail[] = [];
      for (const record of [value, { a: value, s: value, t: value }]) {
        const taken = encoder.encode(record, 0, arrays, 'records[0]', details);
        expect(taken || details.length > 0).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});

test('a signature that contradicts itself is refused', () => {
  const refused =
    (of: Feature, types: Record<string, ElementType> = {}) =>
    () =>
      encoderFor([of], types);
  expect(refused(feature('x', 'float64', { range: { min: 2, max: 1 } }))).toThrow(/its range is empty/);
  expect(refused(feature('x', 'int64', { values: { set: 'closed', values: ['a'] } }))).toThrow(/is no int64/);
  expect(refused(feature('x', 'float64'), { x: 'float32' })).toThrow(/its graph input float32/);
  expect(refused(feature('x', 'bool', { nullable: true }))).toThrow(/bool has no missing value/);
  expect(refused(feature('__proto__', 'float64'))).toThrow(/cannot be the name/);
});
