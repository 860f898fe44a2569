import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextDown, nextDownFloat32, nextUp } from './floating-point.ts';

describe('the neighbours of a double', () => {
  it('have nothing between them and it', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const above = nextUp(value);
        expect(above > value).toBe(true);
        expect(nextDown(above) === value).toBe(true);
        const middle = value / 2 + above / 2;
        expect(middle <= value || middle >= above).toBe(true);
      }),
      { seed: 9, numRuns: 1000 },
    );
  });

  it('are known at the ends and around zero', () => {
    expect(nextUp(0)).toBe(5e-324);
    expect(nextUp(-0)).toBe(5e-324);
    expect(nextDown(0)).toBe(-5e-324);
    expect(nextUp(-5e-324)).toBe(-0);
    expect(nextUp(1)).toBe(1 + Number.EPSILON);
    expect(nextUp(Number.MAX_VALUE)).toBe(Number.POSITIVE_INFINITY);
    expect(nextUp(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
    expect(nextDown(Number.NEGATIVE_INFINITY)).toBe(Number.NEGATIVE_INFINITY);
    expect(nextUp(Number.NaN)).toBeNaN();
  });
});

describe('the neighbour below a float32', () => {
  it('has no float32 between', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const below = nextDownFloat32(value);
        expect(Math.fround(below)).toBe(below);
        expect(below < value).toBe(true);
        const middle = Math.fround(below / 2 + value / 2);
        expect(middle === below || middle === value).toBe(true);
      }),
      { seed: 9, numRuns: 1000 },
    );
  });

  it('is known at the ends and around zero', () => {
    const largest = 2 ** 128 - 2 ** 104;
    expect(nextDownFloat32(0)).toBe(-(2 ** -149));
    expect(nextDownFloat32(-0)).toBe(-(2 ** -149));
    expect(nextDownFloat32(2 ** -149)).toBe(0);
    expect(nextDownFloat32(1)).toBe(1 - 2 ** -24);
    expect(nextDownFloat32(Number.POSITIVE_INFINITY)).toBe(largest);
    expect(nextDownFloat32(-largest)).toBe(Number.NEGATIVE_INFINITY);
    expect(nextDownFloat32(Number.NEGATIVE_INFINITY)).toBe(Number.NEGATIVE_INFINITY);
    expect(nextDownFloat32(Number.NaN)).toBeNaN();
  });
});
