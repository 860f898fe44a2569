import { AssayError } from '@assay/contracts';
import { describe, expect, test } from 'vitest';
import { createLogger, createLogLimiter, createSampler, type LogLevel } from './logging.ts';
import { Secret } from './secret.ts';

function logTo(level?: LogLevel) {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const log = createLogger({ service: 'registry', ...(level === undefined ? {} : { level }), destination });
  return { log, lines };
}

describe('a log line', () => {
  test('is JSON with a level in words, a time and the service', () => {
    const { log, lines } = logTo();
    log.info({ rows: 3 }, 'scored');
    expect(lines).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        service: 'registry',
        pid: process.pid,
        rows: 3,
        msg: 'scored',
      },
    ]);
  });

  test('below the level is not written', () => {
    const { log, lines } = logTo('warn');
    log.info('no');
    log.warn('yes');
    expect(lines).toHaveLength(1);
  });

  test('shows no secret, wherever it is', () => {
    const { log, lines } = logTo();
    log.info({ config: { key: new Secret('hunter22') }, headers: { authorization: 'Bearer hunter22' } }, 'a');
    log.info({ req: { headers: { 'x-api-key': 'hunter22', cookie: 'hunter22' } }, token: 'hunter22' }, 'b');
    log.info({ user: { password: 'hunter22', apiKey: 'hunter22' } }, 'c');
    expect(lines).toHaveLength(3);
    expect(JSON.stringify(lines)).not.toContain('hunter22');
  });

  test('has an error with its code, details and causes', () => {
    const { log, lines } = logTo();
    const cause = new TypeError('deep', { cause: new RangeError('deeper') });
    log.error(
      { err: new AssayError('UNAVAILABLE', 'gone', { cause, details: [{ place: 'a', message: 'b' }] }) },
      'failed',
    );
    expect(lines[0]?.err).toMatchObject({
      code: 'UNAVAILABLE',
      message: 'gone',
      details: [{ place: 'a', message: 'b' }],
      stack: expect.stringContaining('AssayError'),
      cause: { type: 'TypeError', message: 'deep', cause: { type: 'RangeError', message: 'deeper' } },
    });
  });
});

describe('a sampler', () => {
  test('takes its share, at random', () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 16807) % 2147483647; // Park and Miller's generator: the same sequence in every run
      return seed / 2147483647;
    };
    const sampler = createSampler(0.1, random);
    let taken = 0;
    for (let i = 0; i < 100_000; i++) if (sampler.take()) taken++;
    expect(taken / 100_000).toBeCloseTo(0.1, 2);
  });

  test('of 0 takes nothing and of 1 everything', () => {
    expect(createSampler(0).take()).toBe(false);
    expect(createSampler(1).take()).toBe(true);
    expect(createSampler(1e-9, () => 0.5).take(1000)).toBe(false);
  });
});

test('a limiter lets a burst through, then counts what it held back', () => {
  let nowMs = 0;
  const limiter = createLogLimiter(2, () => nowMs);
  expect([limiter.take(), limiter.take(), limiter.take(), limiter.take()]).toEqual([0, 0, undefined, undefined]);
  nowMs = 500;
  expect([limiter.take(), limiter.take()]).toEqual([2, undefined]);
});
