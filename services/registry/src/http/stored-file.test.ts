import { describe, expect, it } from 'vitest';
import { namesTag, readRange } from './stored-file.ts';

describe('a range', () => {
  it.each([
    ['bytes=0-', { from: 0, to: 100 }],
    ['bytes=10-19', { from: 10, to: 20 }],
    ['bytes=10-1000', { from: 10, to: 100 }],
    ['bytes=99-99', { from: 99, to: 100 }],
    ['bytes=-10', { from: 90, to: 100 }],
    ['bytes=-1000', { from: 0, to: 100 }],
  ])('is read: %s', (header, expected) => expect(readRange(header, 100)).toEqual(expected));

  it.each(['bytes=100-', 'bytes=100-200', 'bytes=-0', 'bytes=999999999999999-'])('past the end is none: %s', (header) =>
    expect(readRange(header, 100)).toBe('unsatisfiable'),
  );

  it.each([undefined, '', 'bytes=', 'bytes=-', 'bytes=20-10', 'bytes=0-1,4-5', 'rows=0-1', 'bytes=a-b', 'bytes=0x1-2'])(
    'that is none, or several, is passed over: %s',
    (header) => expect(readRange(header, 100)).toBeUndefined(),
  );

  it('of an empty file is never there', () => expect(readRange('bytes=0-', 0)).toBe('unsatisfiable'));
});

describe('If-None-Match', () => {
  it.each(['"a"', 'W/"a"', '"b", "a"', '*'])('names the tag: %s', (header) =>
    expect(namesTag(header, '"a"')).toBe(true),
  );
  it.each([undefined, '', 'a', '"b"', '"ab"'])('does not: %s', (header) => expect(namesTag(header, '"a"')).toBe(false));
});
