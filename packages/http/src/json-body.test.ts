import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseJson } from './json-body.ts';
import { findJsonMistake } from './json-syntax.ts';

describe('the finder of mistakes', () => {
  test('finds none in what JSON.parse takes, and one in what it refuses', () => {
    const almostJson = fc
      .tuple(
        fc.json(),
        fc.nat(),
        fc.constantFrom('', ',', '"', '}', ']', '{', ':', '0', '\\', '\n', 'e', '-'),
        fc.nat(2),
      )
      .map(([text, at, inserted, removed]) => {
        const i = at % (text.length + 1);
        return text.slice(0, i) + inserted + text.slice(i + removed);
      });
    fc.assert(
      fc.property(almostJson, (text) => {
        let isJson = true;
        try {
          JSON.parse(text);
        } catch {
          isJson = false;
        }
        expect(findJsonMistake(text) === undefined).toBe(isJson);
      }),
      { numRuns: 3000 },
    );
  });

  test.each([
    ['{"a":1,}', 7, 'a key in double quotes'],
    ['{a:1}', 1, 'a key in double quotes or `}`'],
    ['{"a" 1}', 5, '`:` after the key'],
    ['[1 2]', 3, '`,` or `]`'],
    ['[1}', 2, '`,` or `]`'],
    ['1 2', 2, 'nothing after the value'],
    ['[01]', 2, '`,` or `]`'],
    ['["a\nb"]', 3, 'no control character inside a string (write \\n, \\t, \\u…)'],
    ['["\\x"]', 2, 'a valid escape after `\\`'],
    ['["abc', 5, 'the end of the string, `"`'],
    ['', 0, 'a value'],
  ])('%j: at %i expected %s', (text, offset, expected) => {
    expect(findJsonMistake(text)).toMatchObject({ offset, expected });
  });

  test('does not run out of stack', () => {
    expect(findJsonMistake('['.repeat(1_000_000))?.offset).toBe(1_000_000);
    expect(findJsonMistake(`"${'a'.repeat(5_000_000)}`)?.offset).toBe(5_000_001);
  });
});

describe('a body', () => {
  test('is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value);
        if (text.includes('__proto__')) return;
        expect(parseJson(Buffer.from(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  test('gives the text of its numbers to a reviver, so that no digit is lost', () => {
    const reviver = (_key: string, value: unknown, context: { source?: string }) =>
      typeof value === 'number' && context.source !== undefined ? BigInt(context.source) : value;
    expect(parseJson(Buffer.from('[9223372036854775807]'), { reviver })).toEqual([9223372036854775807n]);
  });

  test('may be a view into a larger buffer', () => {
    expect(parseJson(Buffer.from('xx[1]xx').subarray(2, 5))).toEqual([1]);
  });
});
