import type { JobFailure } from '@assay/contracts';
import { describe, expect, test } from 'vitest';
import { conclude } from './conclude.ts';

describe('the end of an attempt', () => {
  const result = { versionId: 'v' };
  const lost: JobFailure = { kind: 'lost', message: 'gone', retryable: true };
  const nothing = { result: null, failure: null };
  test('is a success once a result was reported, whatever became of its process', () => {
    expect(conclude({ result, failure: null }, { outcome: 'failed', failure: lost }, 1)).toEqual({ type: 'succeeded' });
  });
  test('without a result is a failure, as it was reported or as the process ended', () => {
    const failure: JobFailure = { kind: 'data', message: 'row 3', retryable: false };
    expect(conclude({ result: null, failure }, { outcome: 'succeeded' }, 1)).toEqual({ type: 'failed', failure });
    expect(conclude(nothing, { outcome: 'failed', failure: lost }, 1)).toEqual({ type: 'failed', failure: lost });
    expect(conclude(nothing, { outcome: 'succeeded' }, 1)).toMatchObject({ failure: { kind: 'internal' } });
    expect(conclude(nothing, { outcome: 'cancelled' }, 1)).toEqual({ type: 'cancelled' });
  });
  test('for want of memory is worth one more try, not two', () => {
    const failure: JobFailure = { kind: 'out-of-memory', message: 'killed', retryable: false };
    expect(conclude(nothing, { outcome: 'failed', failure }, 1)).toMatchObject({ failure: { retryable: true } });
    expect(conclude(nothing, { outcome: 'failed', failure }, 2)).toMatchObject({ failure: { retryable: false } });
  });
});
