import { JobResources, matches } from '@assay/contracts';
import { expect, test } from 'vitest';
import { launchResources } from './resources.ts';

test('what a spec asks for is what the launcher is asked for', () => {
  expect(launchResources({})).toEqual({});
  expect(launchResources({ gpus: 2, cpu: 0.5, memory: '8Gi' })).toEqual({
    gpus: 2,
    cpus: 0.5,
    memoryBytes: 8 * 1024 ** 3,
  });
});

test.each([
  ['1000', 1000],
  ['1.5k', 1500],
  ['2M', 2e6],
  ['0.5Ki', 512],
  ['1Ti', 1024 ** 4],
])('memory of %s is %i bytes', (memory, memoryBytes) => {
  expect(matches(JobResources, { memory })).toBe(true);
  expect(launchResources({ memory })).toEqual({ memoryBytes });
});

test.each(['', '8 Gi', '-1', '8gb', '1e9', 'Gi'])('memory of "%s" is refused', (memory) => {
  expect(matches(JobResources, { memory })).toBe(false);
});
