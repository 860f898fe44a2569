import type { JobProgress } from '@assay/contracts';
import { expect, test } from 'vitest';
import { createReporter } from './reporter.ts';

test('of what comes faster than it can be pushed only the newest is, and flush waits for it', async () => {
  const pushed: JobProgress[] = [];
  const report = createReporter({ push: async (progress) => void pushed.push(progress), write: () => undefined });
  report.stage('train', 20, 'lightgbm');
  for (let round = 1; round <= 1000; round++) report.progress(20 + round / 100, `round ${round}`, { auc: round });
  await report.flush();
  expect(pushed[0]).toEqual({ stage: 'train', percent: 20, message: 'lightgbm' });
  expect(pushed.at(-1)).toEqual({ stage: 'train', percent: 30, message: 'round 1000', metrics: { auc: 1000 } });
  expect(pushed.length).toBeLessThan(5);
});

test('a service that cannot be reached is written in the log, and is no failure', async () => {
  const lines: string[] = [];
  const report = createReporter({ push: () => Promise.reject(new Error('gone')), write: (line) => lines.push(line) });
  report.stage('read', 2);
  report.note('1 row left out');
  await report.flush();
  expect(lines).toEqual([
    'read',
    'read: 1 row left out',
    ...new Array(lines.length - 2).fill('progress could not be reported: gone'),
  ]);
  expect(lines.length).toBeGreaterThan(2);
});
