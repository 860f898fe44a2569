import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { entryUrl, nodeArguments } from './entries.ts';
import { ASSAY_VERSION } from './version.ts';

test('from source an entry is a TypeScript file of its owner', () => {
  expect(entryUrl('services/training', 'job').pathname).toMatch(/\/services\/training\/src\/entries\/job\.ts$/);
  const root = new URL('../../../', entryUrl('cli', 'x'));
  expect(existsSync(new URL('package.json', root))).toBe(true);
});

test('a child gets no argument of this process', () => {
  expect(nodeArguments()).toEqual([]);
  expect(nodeArguments({ maxHeapMegabytes: 256 })).toEqual(['--max-old-space-size=256']);
});

test('the version is that of the package', () => {
  expect(ASSAY_VERSION).toMatch(/^\d+\.\d+\.\d+/);
});
