import { describe, expect, it } from 'vitest';
import { AssayError, ERROR_CODES, ErrorBody } from './errors.ts';
import { matches } from './validation.ts';

describe('AssayError', () => {
  it('renders every code as a body that its own schema accepts', () => {
    for (const code of ERROR_CODES) {
      const body = new AssayError(code, 'what and where', { details: [{ place: 'a', message: 'b' }] }).toBody('req_1');
      expect(matches(ErrorBody, body), code).toBe(true);
    }
  });

  it('keeps what was thrown as its cause and says nothing of it to the caller', () => {
    const secret = new TypeError('password=hunter2');
    const error = AssayError.from(secret);
    expect(error.code).toBe('INTERNAL');
    expect(error.cause).toBe(secret);
    expect(JSON.stringify(error.toBody('req_1'))).not.toContain('hunter2');
  });

  it('tells an abort from a time-out', () => {
    expect(AssayError.from(AbortSignal.abort().reason).code).toBe('CANCELLED');
    expect(AssayError.from(new DOMException('late', 'TimeoutError')).code).toBe('DEADLINE_EXCEEDED');
  });

  it('passes through what already is one', () => {
    const error = new AssayError('NOT_FOUND', 'no such model');
    expect(AssayError.from(error)).toBe(error);
  });

  it('has no stack where it refuses for load, and one where somebody looks for the place', () => {
    const frames = (error: AssayError): number =>
      (error.stack ?? '').split('\n').filter((line) => /^ +at /.test(line)).length;
    expect(frames(new AssayError('OVERLOADED', 'too much'))).toBe(0);
    expect(frames(new AssayError('RATE_LIMITED', 'too often'))).toBe(0);
    expect(frames(new AssayError('INTERNAL', 'a bug'))).toBeGreaterThan(0);
  });

  it('carries the current revision of a lost compare-and-set', () => {
    expect(new AssayError('STALE_REVISION', 'moved', { currentRevision: 7 }).toBody('r').error.currentRevision).toBe(7);
  });
});
