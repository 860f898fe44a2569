import { AssayError } from '@assay/contracts';
import { describe, expect, test } from 'vitest';
import { type ChildRun, runInChild } from './run-in-child.ts';

const entry = new URL('./testing/ending-entry.ts', import.meta.url);

function run(as: string, limits: Partial<ChildRun> = {}): Promise<unknown> {
  return runInChild(entry, [as], { refused: (why) => new AssayError('UNPROCESSABLE_MODEL', why), ...limits });
}

describe('what a child does ends with it, and the reason comes back', () => {
  test('when it grows past its memory', async () => {
    await expect(run('memory', { maxMemoryBytes: 200 * 1024 ** 2 })).rejects.toThrow(/more than the 200 MiB allowed/);
  });

  test('when it crashes natively, with the signal and what it said first', async () => {
    await expect(run('crash')).rejects.toMatchObject({
      code: 'UNPROCESSABLE_MODEL',
      message: 'the process that loaded it ended with SIGSEGV: about to crash',
    });
  });

  test('when it ends without an answer, or in the middle of one', async () => {
    await expect(run('exit')).rejects.toThrow(/exit code 7/);
    await expect(run('half')).rejects.toMatchObject({ code: 'UNPROCESSABLE_MODEL' });
  });

  test('when it never ends', async () => {
    await expect(run('hang', { timeoutMs: 1000 })).rejects.toThrow(/not loaded within 1000 ms/);
  });
});

test('a child sees of the environment what it is given by name', async () => {
  const names = await run('environment', { environment: { LD_LIBRARY_PATH: '/nowhere' } });
  expect(names).not.toContain('PATH');
  expect(names).toEqual(expect.arrayContaining(['MALLOC_ARENA_MAX', 'LD_LIBRARY_PATH']));
});
