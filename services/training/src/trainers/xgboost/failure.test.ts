import { AssayError } from '@assay/contracts';
import { JobError } from '@assay/jobs';
import { expect, test } from 'vitest';
import { failureOf } from './binding.ts';

test("XGBoost's messages lose their time, source and stack", () => {
  const message =
    '[07:18:55] /workspace/src/tree/x.cc:27: Check failed: a > 0: it is not\nsecond\nStack trace:\n  [bt] (0) x';
  expect(failureOf(message)).toBeInstanceOf(AssayError);
  expect(failureOf(message).message).toBe('XGBoost: Check failed: a > 0: it is not; second');
  expect(failureOf('value -1 for Parameter max_depth should be greater equal to 0\n').message).toBe(
    'XGBoost: value -1 for Parameter max_depth should be greater equal to 0',
  );
});

test.each([
  'std::bad_alloc',
  '[07:18:55] /workspace/src/common/device_vector.cu:23: Memory allocation error on worker 0: out of memory\n- Free memory: 12',
  'parallel_for failed: cudaErrorMemoryAllocation: out of memory',
])('memory that ran out is told as that: %s', (message) => {
  const failure = failureOf(message);
  expect(failure).toBeInstanceOf(JobError);
  expect(failure).toMatchObject({ kind: 'out-of-memory', message: expect.stringContaining('give the job more') });
});
