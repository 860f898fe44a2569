import type { Job, JobProgress } from '@assay/contracts';
import { describe, expect, test } from 'vitest';
import { createJobPrinter } from './job-printer.ts';

function job(state: Job['state'], progress: JobProgress | null = null): Job {
  const spec: Job['spec'] = {
    model: 'm',
    source: { path: 'a.csv' },
    target: { name: 't', expression: 'x' },
    features: [{ name: 'x', dtype: 'float64' }],
    split: { by: 'random', validation: 0.1, test: 0.1 },
    trainer: { name: 'lightgbm' },
  };
  const rest = { baseDir: '/', attempts: 1, result: null, failure: null, createdAt: 0, startedAt: null, endedAt: null };
  return { id: 'job_1', kind: 'training', state, revision: 1, spec, progress, ...rest };
}

function printed(jobs: readonly Job[], terminal?: { columns: number }): string {
  let text = '';
  const printer = createJobPrinter((piece) => {
    text += piece;
  }, terminal);
  for (const one of jobs) printer.show(one);
  printer.end();
  return text;
}

describe('the progress of a job', () => {
  test('is a line for each stage and quarter where lines cannot be rewritten', () => {
    const steps = [0, 3, 24, 26, 30, 51, 99, 100].map((percent) => job('running', { stage: 'train', percent }));
    const text = printed([job('queued'), job('running', { stage: 'read', percent: 10 }), ...steps]);
    expect(text.split('\n').map((line) => line.trim().replaceAll(/ +/g, ' '))).toEqual([
      'queued 0 %',
      'read 10 %',
      'train 0 %',
      'train 26 %',
      'train 51 %',
      'train 99 %',
      'train 100 %',
      '',
    ]);
  });

  test('rewrites one line on a terminal, keeps the last of each stage, and never wraps', () => {
    const long = 'a message that is longer than the terminal is wide and has \n a line break and a \x1b[31mcolour';
    const text = printed(
      [
        job('running', { stage: 'read', percent: 50 }),
        job('running', { stage: 'read', percent: 100 }),
        job('running', { stage: 'train', percent: 40, metrics: { auc: 0.69301 }, message: long }),
      ],
      { columns: 70 },
    );
    const lines = text.split('\n');
    expect(lines).toHaveLength(3);
    const shown = lines.map((line) => line.split('\r\x1b[2K').at(-1) ?? '');
    expect(shown[0]).toContain('read');
    expect(shown[0]).toContain('100 %');
    expect(shown[1]).toContain('auc 0.693');
    expect(shown[1]?.length).toBe(69);
    expect(shown[1]).not.toContain('\x1b');
  });

  test('shows at most three metrics', () => {
    const metrics = { a: 1, b: 2, c: 3, d: 4 };
    const text = printed([job('running', { stage: 'train', percent: 1, metrics })]);
    expect(text).toContain('a 1  b 2  c 3');
    expect(text).not.toContain('d 4');
  });
});
