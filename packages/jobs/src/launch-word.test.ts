import { describe, expect, it } from 'vitest';
import { readLaunchWord, writeLaunchWord } from './launch-word.ts';

const failed = (message: string) =>
  ({ outcome: 'failed', endedAtMs: 5, failure: { kind: 'data', message, retryable: false } }) as const;

describe('the last word of a pod', () => {
  it('says how the job ended', () => {
    expect(readLaunchWord(writeLaunchWord({ outcome: 'succeeded', endedAtMs: 5 }))).toEqual({
      outcome: 'succeeded',
      endedAtMs: 5,
    });
    expect(readLaunchWord(writeLaunchWord(failed('row 7')))).toEqual(failed('row 7'));
  });

  it.each([
    ['letters', 'x'.repeat(100_000)],
    ['letters of several bytes', '✈'.repeat(50_000)],
    ['letters that JSON escapes', '\n"\\'.repeat(50_000)],
    ['pairs of code units', '🛫'.repeat(50_000)],
  ])('keeps within what Kubernetes keeps, cutting the message: %s', (_, message) => {
    const word = writeLaunchWord(failed(message));
    expect(Buffer.byteLength(word)).toBeLessThanOrEqual(4096);
    expect(Buffer.byteLength(word)).toBeGreaterThan(3000);
    const read = readLaunchWord(Buffer.from(word).toString('utf8'));
    expect(read).toMatchObject({ outcome: 'failed', failure: { kind: 'data' } });
    expect(word).not.toContain('�');
  });

  it('of an image in another language needs no time', () => {
    expect(
      readLaunchWord('{"outcome":"failed","failure":{"kind":"data","message":"no rows","retryable":false}}'),
    ).toEqual({
      outcome: 'failed',
      failure: { kind: 'data', message: 'no rows', retryable: false },
    });
  });

  it.each([undefined, '', 'Traceback (most recent call last):', 'null', '{"outcome":"failed"}', '{"outcome":"great"}'])(
    'is none: %j',
    (message) => expect(readLaunchWord(message)).toBeUndefined(),
  );
});
