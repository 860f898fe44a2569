import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistryClient } from '@assay/client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { assay as run } from '../fake-services.ts';
import { startRegistryProcess } from './registry-process.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-backup-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const assay = (...args: string[]) => run(args, { cwd: dir });

test('what was backed up while the registry ran is there after a restore, and its audit chain verifies', async () => {
  {
    await using running = await startRegistryProcess(join(dir, 'data'));
    const { url } = running;
    await using registry = createRegistryClient({ url });
    await registry.createModel({ name: 'churn' });
    const { code, out, err } = await assay('backup', 'copy', '--data-dir', 'data');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(
      /^Backed up to copy: \d+ rows, 0 blobs \(0 bytes\)\nThe audit chain has 1 entries, head [0-9a-f]{64}\n$/,
    );
  }
  const restored = await assay('restore', 'copy', '--data-dir', 'other');
  expect([restored.code, restored.err]).toEqual([0, '']);
  expect(restored.out).toContain('The audit chain holds: 1 entries, head ');

  await using running = await startRegistryProcess(join(dir, 'other'));
  const models = await assay('models', '--registry', running.url, '--json');
  expect(JSON.parse(models.out)).toMatchObject([{ name: 'churn' }]);
  expect((await assay('audit', 'verify', '--registry', running.url)).code).toBe(0);

  const again = await assay('restore', 'copy', '--data-dir', 'other');
  expect(again.code).not.toBe(0);
  expect(again.err).toContain(' is in use by process ');
});
