import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { scanFloats } from './scan-floats.ts';

const OPEN = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };

/** What is read of the text of a list; undefined when it is not taken. */
function scan(text: string, rows: number, width: number, array: Float32Array | Float64Array, range = OPEN) {
  const bytes = Buffer.from(`${text}}`);
  const end = scanFloats(
    bytes,
    1,
    { array, isFloat32: array instanceof Float32Array, at: 0, stride: width, width, ...range },
    rows,
  );
  return end === text.length ? array : undefined;
}

const spaces = fc.constantFrom('', '', '', ' ', '\n', '\r\n\t  ');
/** Numbers as they are written by all sorts of writers. */
const literal = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.integer().map(String),
  fc
    .tuple(fc.integer({ min: -1e6, max: 1e6 }), fc.integer({ min: 0, max: 12 }))
    .map(([value, digits]) => (value / 1e5).toFixed(digits)),
  fc
    .tuple(
      fc.stringMatching(/^-?(0|[1-9]\d{0,24})(\.\d{1,24})?$/),
      fc.constantFrom('', '', 'e5', 'E-3', 'e+12', 'e-400'),
    )
    .map(([mantissa, exponent]) => mantissa + exponent),
  fc.constantFrom(
    '-0',
    '0.0',
    '-0.0e0',
    '9007199254740993',
    '0.1',
    '123456789012345',
    '1234567890123456',
    '1e22',
    '1e23',
  ),
);

describe('numbers scanned from bytes', () => {
  test('have the bits that JSON.parse gives them, however they are written', () => {
    const list = fc.array(fc.tuple(spaces, literal, spaces), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(list, (parts) => {
        const text = `[${parts.map((part) => part.join('')).join(',')}]`;
        const expected: number[] = JSON.parse(text);
        expect(scan(text, expected.length, 1, new Float64Array(expected.length))).toEqual(Float64Array.from(expected));
        const isFloat32 = expected.every((value) => Number.isFinite(Math.fround(value)));
        const floats = scan(text, 1, expected.length, new Float32Array(expected.length));
        expect(floats).toEqual(isFloat32 ? Float32Array.from(expected) : undefined);
      }),
      { numRuns: 2000 },
    );
  });

  test('are taken only where JSON.parse takes them, whatever was put into them', () => {
    const edit = fc.tuple(
      fc.nat(),
      fc.constantFrom(...'0123456789.,-+eE []{}"x\0\n', 'null', 'NaN', '0x1', '1_0', '--'),
      fc.nat(2),
    );
    const text = fc
      .tuple(fc.array(literal, { minLength: 1, maxLength: 4 }), fc.array(edit, { minLength: 1, maxLength: 3 }))
      .map(([numbers, edits]) =>
        edits.reduce(
          (list, [at, what, drops]) => {
            const i = 1 + (at % list.length);
            return list.slice(0, i) + what + list.slice(i + drops);
          },
          `[${numbers.join(',')}]`,
        ),
      );
    let taken = 0;
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 5 }), (list, count) => {
        const read = scan(list, count, 1, new Float64Array(count));
        if (read === undefined) return;
        taken++;
        expect(Array.from(read)).toEqual(JSON.parse(list));
      }),
      { numRuns: 10_000 },
    );
    expect(taken).toBeGreaterThan(300);
  });

  test('go to their places: rows a stride apart', () => {
    const array = new Float32Array(9).fill(-1);
    const bytes = Buffer.from('[1,2,3,4]}');
    expect(scanFloats(bytes, 1, { array, isFloat32: true, at: 1, stride: 4, width: 2, ...OPEN }, 2)).toBe(9);
    expect(Array.from(array)).toEqual([-1, 1, 2, -1, -1, 3, 4, -1, -1]);
  });

  test.each([
    ['too few', '[1,2]', 3],
    ['too many', '[1,2,3,4]', 3],
    ['null', '[1,null,3]', 3],
    ['a nested list', '[[1],[2],[3]]', 3],
    ['a number beyond the range', '[1,2,11]', 3],
    ['one that is rounded out of float32', '[1,2,1e39]', 3],
    ['none', '[]', 1],
  ])('%s are not taken', (_what, text, rows) => {
    expect(scan(text, rows, 1, new Float32Array(8), { min: 0, max: 10 })).toBeUndefined();
  });
});
