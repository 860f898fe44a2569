import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { whyUnreadable } from './unreadable.ts';

test('why a file cannot be read is said without the words of the system, where there are better ones', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-unreadable-'));
  try {
    await writeFile(join(dir, 'file'), '');
    await symlink('loop', join(dir, 'loop'));
    const why = (path: string, what?: string) =>
      readFile(join(dir, path)).then(
        () => 'it was read',
        (cause: unknown) => whyUnreadable(cause, path, what),
      );
    expect(await why('absent')).toBe('there is no file absent');
    expect(await why('file/in/a/file', 'spec')).toBe('there is no spec file/in/a/file');
    expect(await why('.', 'spec')).toBe('. is a folder; expected a spec');
    expect(await why('loop')).toMatch(/^loop cannot be read: ELOOP/);
  } finally {
    await rm(dir, { recursive: true });
  }
  // Tests may run as a user who may read everything.
  const forbidden = Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
  expect(whyUnreadable(forbidden, 'key')).toBe('this user may not read key');
  expect(whyUnreadable('odd', 'key')).toBe('key cannot be read: odd');
});
