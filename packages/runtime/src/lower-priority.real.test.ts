import { once } from 'node:events';
import { getPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { nodeArguments } from './entries.ts';
import { lowerPriority } from './lower-priority.ts';

test('a thread lowers its own priority and no other', async () => {
  const before = getPriority(process.pid);
  const niceness = Math.min(19, before + 7);
  const thread = new Worker(new URL('./fixtures/nice-thread.ts', import.meta.url), {
    workerData: niceness,
    execArgv: nodeArguments(),
  });
  const [said] = await once(thread, 'message');
  expect(getPriority(process.pid)).toBe(before);
  if (process.platform === 'linux') expect(said).toEqual({ problem: undefined, niceness });
  else expect(said.problem).toMatch(/thread-self/);
});

test('a niceness of 0 changes nothing, anywhere', () => {
  expect(lowerPriority(0)).toBeUndefined();
});
