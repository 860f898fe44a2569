import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const SCRIPT = `
import { registerHooks } from 'node:module';
const loaded = new Set();
registerHooks({ load(url, context, next) {
  if (url.includes('/node_modules/@aws-sdk/')) loaded.add('aws');
  if (url.includes('/node_modules/@azure/')) loaded.add('azure');
  return next(url, context);
} });
const { openBlobStore } = await import(process.argv[1]);
for (const url of process.argv.slice(2)) await openBlobStore(url).catch(() => undefined);
console.log([...loaded].sort().join('+') || 'none');
`;

it('loads the library of a store only when its url is opened', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-blobs-'));
  const index = new URL('./index.ts', import.meta.url).href;
  const loaded = async (...urls: string[]) => {
    const args = ['--input-type=module', '-e', SCRIPT, index, ...urls];
    return (await promisify(execFile)(process.execPath, args, { env: { PATH: process.env.PATH } })).stdout.trim();
  };
  try {
    expect(await loaded(`file:${dir}`, 'ftp://x')).toBe('none');
    expect(await loaded('s3://bucket?endpoint=http://127.0.0.1:1')).toBe('aws');
    expect(await loaded('az://container')).toBe('azure');
  } finally {
    await rm(dir, { recursive: true });
  }
});
