import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextDown, nextUp } from './floating-point.ts';

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
