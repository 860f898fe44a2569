import type { EndpointLimits } from '@assay/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EndpointLimiter, LimitReached } from './endpoint-limits.ts';
import { Pace } from './pace.ts';

describe('a pace', () => {
  test('lets a burst through, then one at a time as it is paid off', () => {
    const pace = new Pace(10, 500);
    expect(Array.from({ length: 6 }, () => pace.take(1, 0))).toEqual([0, 0, 0, 0, 0, 100]);
    expect(pace.take(1, 99)).toBe(1);
    expect(pace.take(1, 100)).toBe(0);
    expect(pace.take(1, 100)).toBe(100);
  });

  test('takes at least one, however short the burst, and what is more than a burst when nothing is owed', () => {
    const short = new Pace(1, 1);
    expect([short.take(1, 0), short.take(1, 0), short.take(1, 1000)]).toEqual([0, 1000, 0]);
    const pace = new Pace(1000, 100);
    expect(pace.take(5000, 0)).toBe(0);
    expect(pace.take(1, 0)).toBe(4901);
    expect(pace.take(5000, 4000)).toBe(1000);
    expect(pace.take(5000, 5000)).toBe(0);
  });

  test('never lets more through in any time than the rate and a burst, and always at the time that it said', () => {
    const arrivals = fc.array(fc.record({ afterMs: fc.nat(200), count: fc.integer({ min: 1, max: 20 }) }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1, max: 2000 }),
        arrivals,
        (rate, burstMs, all) => {
          const pace = new Pace(rate, burstMs);
          const taken: { at: number; count: number }[] = [];
          let now = 0;
          for (const { afterMs, count } of all) {
            now += afterMs;
            const waitMs = pace.take(count, now);
            if (waitMs === 0) taken.push({ at: now, count });
            else {
              now += waitMs + 1e-6;
              expect(pace.take(count, now)).toBe(0);
              taken.push({ at: now, count });
            }
          }
          for (const [i, { at: from }] of taken.entries()) {
            let sum = 0;
            for (const { at, count } of taken.slice(i)) {
              sum += count;
              // One more than a burst may have been let through when nothing was owed.
              expect(sum).toBeLessThanOrEqual(((at - from + burstMs) * rate) / 1000 + 20 + 1e-6);
            }
          }
        },
      ),
    );
  });
});

describe('limits of an endpoint', () => {
  function refusedBy(act: () => void): string | undefined {
    try {
      act();
      return undefined;
    } catch (error) {
      if (error instanceof LimitReached) return `${error.limit} ${error.code} ${error.retryAfterMs ?? 'never'}`;
      throw error;
    }
  }
  const limiter = (limits: EndpointLimits) => new EndpointLimiter('flights', limits);

  test('that are not set let everything in', () => {
    const open = limiter({});
    for (let i = 0; i < 10_000; i++) open.enter(0, 2 ** 40);
    open.takeRows(2 ** 40, 0);
    expect(() => open.enter(0, 0)).not.toThrow();
  });

  test('refuse with the limit that was reached, and when to come back', () => {
    const narrow = limiter({ requestsPerSecond: 2, rowsPerSecond: 10, rowsPerRequest: 8, bytesPerRequest: 100 });
    expect(refusedBy(() => narrow.enter(0, 101))).toBe('bytes PAYLOAD_TOO_LARGE never');
    narrow.enter(0, 100);
    expect(refusedBy(() => narrow.takeRows(9, 0))).toBe('rows PAYLOAD_TOO_LARGE never');
    narrow.takeRows(8, 0);
    expect(refusedBy(() => narrow.takeRows(4, 0))).toBe('rows_per_second RATE_LIMITED 200');
    narrow.enter(0, 0);
    expect(refusedBy(() => narrow.enter(0, 0))).toBe('requests_per_second RATE_LIMITED 500');
    narrow.enter(500, 0);
  });

  test('of concurrency count who is in, and a request that another limit refused is not', () => {
    const narrow = limiter({ concurrency: 2, requestsPerSecond: 3 });
    narrow.enter(0, 0);
    narrow.enter(0, 0);
    expect(refusedBy(() => narrow.enter(0, 0))).toBe('concurrency RATE_LIMITED 100');
    narrow.leave();
    narrow.enter(0, 0);
    narrow.leave();
    expect(refusedBy(() => narrow.enter(0, 0))).toMatch(/^requests_per_second/);
    narrow.enter(1000, 0);
    expect(refusedBy(() => narrow.enter(1000, 0))).toMatch(/^concurrency/);
  });

  test('that change keep what is in flight and what is owed', () => {
    const changing = limiter({ concurrency: 1, requestsPerSecond: 1 });
    changing.enter(0, 0);
    changing.change({ concurrency: 2, requestsPerSecond: 10, burstMs: 100 });
    expect(refusedBy(() => changing.enter(0, 0))).toBe('requests_per_second RATE_LIMITED 1000');
    changing.enter(1000, 0);
    expect(refusedBy(() => changing.enter(2000, 0))).toMatch(/^concurrency/);
  });
});
