import { describe, expect, it } from 'vitest';
import { retryAfterMs, verdictOf } from './webhook-retry.ts';

describe('what becomes of a delivery', () => {
  it('is delivered by any 2xx, and by nothing else', () => {
    for (const status of [200, 201, 204, 299]) expect(verdictOf({ status }, 1)).toEqual({ kind: 'delivered' });
    for (const status of [199, 301, 308, 400, 404, 429, 500]) expect(verdictOf({ status }, 1).kind).toBe('retry');
    expect(verdictOf({}, 1).kind).toBe('retry');
  });

  it('is tried ever later, to an hour, up to a quarter sooner', () => {
    const waits = [1, 2, 3, 4, 12, 13, 100].map((attempts) => verdictOf({ status: 500 }, attempts, 0));
    expect(waits).toEqual(
      [1000, 2000, 4000, 8000, 2_048_000, 3_600_000, 3_600_000].map((inMs) => ({ kind: 'retry', inMs })),
    );
    expect(verdictOf({}, 1, 1)).toEqual({ kind: 'retry', inMs: 750 });
  });

  it('is left alone as long as the receiver asks, an hour at most', () => {
    const later = (asked: number) => verdictOf({ status: 429, retryAfterMs: asked }, 1, 0);
    expect(later(30_000)).toEqual({ kind: 'retry', inMs: 30_000 });
    expect(later(10)).toEqual({ kind: 'retry', inMs: 1000 });
    expect(later(10 ** 10)).toEqual({ kind: 'retry', inMs: 3_600_000 });
    const now = Date.parse('2026-01-01T00:00:00Z');
    expect(retryAfterMs('120', now)).toBe(120_000);
    expect(retryAfterMs('Thu, 01 Jan 2026 00:01:00 GMT', now)).toBe(60_000);
    expect(retryAfterMs('Wed, 31 Dec 2025 00:01:00 GMT', now)).toBe(0);
    expect(retryAfterMs('soon', now)).toBeUndefined();
  });

  it('is over for a receiver that is gone', () => {
    expect(verdictOf({ status: 410 }, 1)).toEqual({ kind: 'gone' });
  });
});
