import { expect, test } from 'vitest';
import { isSampled } from './prediction-sample.ts';

test.each([0, 0.001, 0.1, 0.5, 1])('of many ids a share of %d is chosen, each time the same', (ratio) => {
  const ids = Array.from({ length: 100_000 }, (_, i) => `prd_0123456789abcdef0123_${i + 1}`);
  const chosen = ids.filter((id) => isSampled(id, ratio));
  const deviation = Math.sqrt(ids.length * ratio * (1 - ratio));
  expect(Math.abs(chosen.length - ids.length * ratio)).toBeLessThanOrEqual(4 * deviation);
  expect(ids.filter((id) => isSampled(id, ratio))).toEqual(chosen);
});
