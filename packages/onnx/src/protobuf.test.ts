import { AssayError } from '@assay/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bytesField,
  type Field,
  float32Field,
  float32sField,
  float32sOf,
  int64Field,
  int64Of,
  int64sField,
  int64sOf,
  messageField,
  readMessage,
  textField,
  textOf,
  writeMessage,
} from './protobuf.ts';

const read = (bytes: Uint8Array) => readMessage(bytes, 'test', { fieldsLeft: 10_000, maxDepth: 10 });
const one = (bytes: Uint8Array): Field => {
  const [field, ...more] = read(bytes);
  if (field === undefined || more.length > 0) throw new Error('expected one field');
  return field;
};

const number = fc.integer({ min: 1, max: 2 ** 29 - 1 });
const anyField: fc.Arbitrary<Field> = fc.oneof(
  fc.tuple(number, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })).map(([n, v]) => int64Field(n, v)),
  fc.tuple(number, fc.float()).map(([n, v]) => float32Field(n, v)),
  fc.tuple(number, fc.string({ unit: 'binary' })).map(([n, v]) => textField(n, v)),
  fc.tuple(number, fc.uint8Array()).map(([n, v]) => bytesField(n, v)),
);

describe("protobuf's wire format", () => {
  it('gives back every byte of any message', () => {
    fc.assert(
      fc.property(fc.array(anyField), (fields) => {
        const bytes = writeMessage(fields);
        expect(writeMessage(read(bytes))).toEqual(bytes);
        expect(read(bytes).map((field) => field.number)).toEqual(fields.map((field) => field.number));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('keeps unusual encodings as they are: a number with needless bytes, fixed64, an unknown field', () => {
    const bytes = Uint8Array.of(0x08, 0x81, 0x80, 0x00, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0xfa, 0x7f, 0x01, 0xff);
    const fields = read(bytes);
    expect(fields.map((field) => field.number)).toEqual([1, 2, 2047]);
    expect(fields[0] && int64Of(fields[0], 'test')).toBe(1n);
    expect(writeMessage(fields)).toEqual(bytes);
  });

  it('keeps every int64 exact, one by one and packed', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { minLength: 1 }), (values) => {
        expect(int64sOf(read(writeMessage([int64sField(3, values)])), 'test')).toEqual(values);
        expect(int64sOf(read(writeMessage(values.map((value) => int64Field(3, value)))), 'test')).toEqual(values);
      }),
      { seed: 2, numRuns: 300 },
    );
    for (const value of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), -1n, 0n]) {
      expect(int64Of(one(writeMessage([int64Field(1, value)])), 'test')).toBe(value);
    }
  });

  it('keeps every float32, one by one and packed', () => {
    fc.assert(
      fc.property(fc.array(fc.float(), { minLength: 1 }), (values) => {
        expect(float32sOf(read(writeMessage([float32sField(3, values)])), 'test')).toEqual(values);
        expect(float32sOf(read(writeMessage(values.map((v) => float32Field(3, v)))), 'test')).toEqual(values);
      }),
      { seed: 3, numRuns: 200 },
    );
  });

  it('keeps every text, a leading byte order mark included', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        for (const value of [text, `\uFEFF${text}`]) {
          expect(textOf(one(writeMessage([textField(1, value)])), 'test')).toBe(value);
        }
      }),
      { seed: 4, numRuns: 200 },
    );
  });

  it('refuses any cut of a message that ends inside a field', () => {
    const bytes = writeMessage([
      int64Field(1, 300),
      textField(2, 'abc'),
      float32Field(3, 1),
      bytesField(4, new Uint8Array(3)),
    ]);
    const ends = new Set(read(bytes).map((field) => field.end));
    for (let length = 1; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length);
      if (ends.has(length)) expect(read(cut).length).toBeGreaterThan(0);
      else expect(() => read(cut)).toThrow(AssayError);
    }
  });

  it('reads random bytes or refuses them, and nothing else', () => {
    let refused = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          expect(writeMessage(read(bytes))).toEqual(bytes);
        } catch (error) {
          expect(error).toMatchObject({ name: 'AssayError', code: 'UNPROCESSABLE_MODEL' });
          refused += 1;
        }
      }),
      { seed: 5, numRuns: 5000 },
    );
    expect(refused).toBeGreaterThan(1000);
  });

  it.each([
    ['a number without end', [0x08, ...new Array(11).fill(0x80)], 'longer than ten bytes'],
    ['a length beyond the end', [0x0a, 0x05, 1], '5 bytes are announced and 1 are left'],
    ['a length of 2^63', [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], 'bytes are announced'],
    ['field number 0', [0x02, 0x00], 'no field number 0'],
    ['a group', [0x0b, 0x0c], 'wire type 3'],
    ['wire type 7', [0x0f], 'wire type 7'],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => read(Uint8Array.from(bytes))).toThrow(message);
  });

  it('refuses a field of another kind than asked for, and text that is not UTF-8', () => {
    expect(() => int64Of(textField(1, 'x'), 'test')).toThrow('field 1 has wire type 2, not 0');
    expect(() => textOf(int64Field(1, 1), 'test')).toThrow('field 1 has wire type 0, not 2');
    expect(() => textOf(bytesField(1, Uint8Array.of(0xff)), 'the name')).toThrow(
      'the name holds a text that is not UTF-8',
    );
  });

  it('stops at the budget of fields, and does not count what it is told to pass over', () => {
    const bytes = writeMessage(Array.from({ length: 100 }, (_, i) => int64Field(1 + (i % 2), i)));
    expect(() => readMessage(bytes, 'test', { fieldsLeft: 99, maxDepth: 1 })).toThrow(
      'more fields than a model may have',
    );
    expect(readMessage(bytes, 'test', { fieldsLeft: 50, maxDepth: 1 }, new Set([1]))).toHaveLength(50);
  });

  it('writes messages within messages', () => {
    const inner = one(writeMessage([messageField(7, [textField(1, 'x')])]));
    expect([...inner.source]).toEqual([0x3a, 3, 0x0a, 1, 0x78]);
  });
});
