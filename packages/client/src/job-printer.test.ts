import type { JobProgress } from '@assay/contracts';
import { describe, expect, test } from 'vitest';
import { createJobPrinter, type ShownJob } from './job-printer.ts';

function job(state: ShownJob['state'], progress: JobProgress | null = null): ShownJob {
  return { state, progress };
}

function printed(jobs: readonly ShownJob[], terminal?: { columns: number }): string {
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

  test('tells what a job waits for while it starts, each reason once, and nothing of an attempt before', () => {
    const waiting = (message: string) => job('starting', { stage: 'waiting', percent: 0, message });
    const text = printed([
      job('starting', { stage: 'train', percent: 60 }),
      waiting('no node can take it'),
      waiting('no node can take it'),
      waiting('its image is pulled'),
      job('running', { stage: 'read', percent: 2 }),
    ]);
    expect(text.split('\n').map((line) => line.trim().replaceAll(/ +/g, ' '))).toEqual([
      'starting 60 %',
      'waiting 0 % no node can take it',
      'waiting 0 % its image is pulled',
      'read 2 %',
      '',
    ]);
  });

  test('shows at most three metrics', () => {
    const metrics = { a: 1, b: 2, c: 3, d: 4 };
    const text = printed([job('running', { stage: 'train', percent: 1, metrics })]);
    expect(text).toContain('a 1  b 2  c 3');
    expect(text).not.toContain('d 4');
  });
});
