import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { scoreMany } from './testing/score-many.ts';

test('versions are scored in several threads at a time, natively, with the same bits, and the threads end well', async () => {
  const times = 100;
  const workers = [1, 2].map(() => {
    const worker = new Worker(new URL('./testing/worker-entry.ts', import.meta.url), {
      workerData: times,
      execArgv: [],
    });
    return {
      result: new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)),
      exitCode: new Promise((resolve) => worker.once('exit', resolve)),
    };
  });
  const here = await scoreMany(times);
  expect(here.call).toBe('native');
  for (const { result, exitCode } of workers) {
    expect(await result).toEqual(here);
    expect(await exitCode).toBe(0);
  }
});
