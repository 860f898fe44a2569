import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, expect, test } from 'vitest';
import { sourceStack } from './source-stack.ts';

const dir = await mkdtemp(join(tmpdir(), 'assay-stack-'));
afterAll(() => rm(dir, { recursive: true }));

const SOURCE = `
interface Nothing { readonly here: string }

export function fails(): Nothing {
  throw new Error('as it must');
}
`;

test('a stack of the bundle leads to the sources', async () => {
  await writeFile(join(dir, 'source.ts'), SOURCE);
  const outfile = join(dir, 'bundled.mjs');
  await build({ entryPoints: [join(dir, 'source.ts')], outfile, bundle: true, format: 'esm', sourcemap: true });
  const url = pathToFileURL(outfile).href;
  // In a Node without the test runner's own maps.
  const script = `import('${url}').then(({ fails }) => fails()).catch(({ stack }) => console.log(stack))`;
  const place = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }).split('\n')[1];
  expect(place).toContain(`${url}:`);
  expect(sourceStack(`Error: as it must\n${place}\n    at node:internal/x:1:2`)).toBe(
    'Error: as it must\n    at fails (source.ts:5:9)\n    at node:internal/x:1:2',
  );
});

test('what has no map stays as it is', () => {
  const stack = `Error: x\n    at f (${pathToFileURL(join(dir, 'gone.mjs')).href}:1:2)\n    at g (file:///a.ts:3:4)`;
  expect(sourceStack(stack)).toBe(stack);
});
