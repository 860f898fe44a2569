import { AssayError } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { classifyProcessEnd, exitCodeOf, JobError, type ProcessEnd, toJobFailure } from './failure.ts';

const end = (of: Partial<ProcessEnd>) =>
  classifyProcessEnd({ exitCode: null, signal: null, killedForMemory: undefined, logTail: '', ...of });

describe('how a process ended', () => {
  it.each([
    [{ signal: 'SIGSEGV' }, 'crash', false],
    [{ exitCode: 139 }, 'crash', false],
    [{ signal: 'SIGABRT' }, 'crash', false],
    [{ signal: 'SIGABRT', logTail: 'FATAL ERROR: … JavaScript heap out of memory' }, 'out-of-memory', false],
    [{ signal: 'SIGABRT', logTail: "terminate called after throwing 'std::bad_alloc'" }, 'out-of-memory', false],
    [{ signal: 'SIGKILL', killedForMemory: 1 }, 'out-of-memory', false],
    [{ signal: 'SIGKILL', killedForMemory: undefined }, 'out-of-memory', false],
    [{ signal: 'SIGKILL', killedForMemory: 0 }, 'lost', true],
    [{ exitCode: 137, killedForMemory: 0 }, 'lost', true],
    [{ signal: 'SIGTERM' }, 'lost', true],
    [{ exitCode: 143 }, 'lost', true],
    [{ exitCode: 64 }, 'configuration', false],
    [{ exitCode: 65 }, 'data', false],
    [{ exitCode: 75 }, 'internal', true],
    [{ exitCode: 1 }, 'internal', false],
    [{ exitCode: 0 }, 'internal', false],
  ] as const)('%j is %s', (of, kind, retryable) => {
    expect(end(of)).toMatchObject({ kind, retryable });
  });
});

describe('what a job threw', () => {
  it.each([
    [new JobError('data', 'row 7'), 'data', false, 65],
    [new JobError('internal', 'later', { retryable: true }), 'internal', true, 75],
    [new AssayError('INVALID_ARGUMENT', 'typo'), 'configuration', false, 64],
    [new AssayError('UNAVAILABLE', 'away'), 'internal', true, 75],
    [new AssayError('INTERNAL', 'bug'), 'internal', false, 70],
    [new RangeError('Array buffer allocation failed'), 'out-of-memory', false, 70],
    [new TypeError('bug'), 'internal', false, 70],
    ['a string', 'internal', false, 70],
  ] as const)('%s is %s', (thrown, kind, retryable, exitCode) => {
    const failure = toJobFailure(thrown);
    expect(failure).toMatchObject({ kind, retryable });
    expect(exitCodeOf(failure)).toBe(exitCode);
  });
});
