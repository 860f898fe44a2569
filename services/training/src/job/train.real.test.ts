import type { TrainingSpec } from '@assay/contracts';
import { expect, test } from 'vitest';
import { features, LIBRARY_CACHE, makeRows } from '../trainers/trainer-under-test.ts';
import { customerSpec } from '../training-under-test.ts';
import type { Reporter } from './reporter.ts';
import { readyTrainer } from './train.ts';

/** Keeps what it is told. */
function createRecorder() {
  const stages: string[] = [];
  const steps: { readonly percent: number; readonly message: string; readonly metrics: unknown }[] = [];
  const report: Reporter = {
    stage: (stage, _percent, message) => stages.push(`${stage}: ${message}`),
    progress: (percent, message, metrics) => steps.push({ percent, message, metrics }),
    note: () => undefined,
    log: () => undefined,
    flush: async () => undefined,
  };
  return { report, stages, steps };
}

test.each<[TrainingSpec['trainer'], string]>([
  [{ name: 'xgboost', rounds: 20 }, 'log_loss'],
  [{ name: 'lightgbm', rounds: 20 }, 'auc'],
])('each round of %j is told, with its metric and how far the job is', async (trainer, metric) => {
  const { report, stages, steps } = createRecorder();
  const input = {
    jobId: 'job_1',
    spec: customerSpec('/unused.csv', trainer),
    baseDir: '/',
    createdAtMs: 0,
    trainingUrl: 'http://127.0.0.1:1',
    registryUrl: 'http://127.0.0.1:1',
    libraries: { cacheDir: LIBRARY_CACHE },
  };
  const train = await readyTrainer(input, report, new AbortController().signal);
  const rows = { train: makeRows(2000, 1), validation: makeRows(500, 2), test: makeRows(500, 3) };
  const model = await train({ files: [], features, parts: rows, profiles: [], libraries: {} }, { seed: 1, threads: 1 });
  model.close();
  expect(stages).toEqual([`train: ${trainer.name} on 2000 rows, 500 to validate on, 1 thread`]);
  expect(steps).toHaveLength(20);
  for (const [round, { percent, message, metrics }] of steps.entries()) {
    expect(percent).toBeCloseTo(22 + (52 * (round + 1)) / 20, 10);
    expect(message).toMatch(new RegExp(`^${round + 1} of at most 20: ${metric} 0\\.\\d{4}$`));
    expect(metrics).toEqual({ [metric]: expect.any(Number) });
  }
});
