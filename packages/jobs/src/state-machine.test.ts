import { AssayError, JOB_STATES, type JobFailure } from '@assay/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canTake, isFinished, type JobEvent, type Lifecycle, NEW_JOB, nextLifecycle } from './state-machine.ts';

const retryable: JobFailure = { kind: 'lost', message: 'gone', retryable: true };
const final: JobFailure = { kind: 'data', message: 'row 7', retryable: false };
const limits = { maxAttempts: 3 };

const EVENTS: readonly JobEvent[] = [
  { type: 'launching' },
  { type: 'started' },
  { type: 'succeeded' },
  { type: 'failed', failure: retryable },
  { type: 'failed', failure: final },
  { type: 'cancel-requested' },
  { type: 'cancelled' },
];

const after = (...events: readonly JobEvent[]): Lifecycle =>
  events.reduce((job, event) => nextLifecycle(job, event, limits), NEW_JOB);

const launching: JobEvent = { type: 'launching' };
const started: JobEvent = { type: 'started' };
const cancelRequested: JobEvent = { type: 'cancel-requested' };
const failed = (failure: JobFailure): JobEvent => ({ type: 'failed', failure });

describe('a job', () => {
  it('goes from queued over starting and running to succeeded', () => {
    expect(after().state).toBe('queued');
    expect(after(launching)).toEqual({ state: 'starting', attempts: 1, cancelRequested: false, failure: null });
    expect(after(launching, started).state).toBe('running');
    expect(after(launching, started, { type: 'succeeded' }).state).toBe('succeeded');
  });

  it('may end before it was seen running', () => {
    expect(after(launching, { type: 'succeeded' }).state).toBe('succeeded');
    expect(after(launching, failed(final))).toMatchObject({ state: 'failed', failure: final });
  });

  it('is queued again after a failure that is worth another try, while attempts are left', () => {
    const attempt = [launching, started, failed(retryable)];
    expect(after(...attempt)).toEqual({ state: 'queued', attempts: 1, cancelRequested: false, failure: retryable });
    expect(after(...attempt, ...attempt)).toMatchObject({ state: 'queued', attempts: 2 });
    expect(after(...attempt, ...attempt, ...attempt)).toMatchObject({
      state: 'failed',
      attempts: 3,
      failure: retryable,
    });
    expect(after(...attempt, launching, { type: 'succeeded' })).toMatchObject({ state: 'succeeded', failure: null });
  });

  it('is not tried again after a failure that would only repeat', () => {
    expect(after(launching, started, failed(final))).toMatchObject({ state: 'failed', attempts: 1 });
  });

  it('is cancelled at once while it is queued, and later once it has stopped', () => {
    expect(after(cancelRequested).state).toBe('cancelled');
    expect(after(launching, cancelRequested)).toMatchObject({ state: 'starting', cancelRequested: true });
    expect(after(launching, started, cancelRequested, { type: 'cancelled' }).state).toBe('cancelled');
  });

  it('is cancelled, not tried again, when it is lost while it is to be cancelled', () => {
    expect(after(launching, started, cancelRequested, failed(retryable)).state).toBe('cancelled');
  });

  it('has succeeded when it finished before it noticed that it was to be cancelled', () => {
    expect(after(launching, started, cancelRequested, { type: 'succeeded' }).state).toBe('succeeded');
  });

  it('says what it cannot become', () => {
    expect(() => after(started)).toThrow('the job is queued; it cannot become running');
    expect(() => after(cancelRequested, launching)).toThrow(AssayError);
  });

  it('keeps its rules over any sequence of events', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...EVENTS), { maxLength: 40 }),
        fc.integer({ min: 1, max: 4 }),
        (events, maxAttempts) => {
          let job = NEW_JOB;
          let launches = 0;
          for (const event of events) {
            if (!canTake(job.state, event.type)) {
              expect(() => nextLifecycle(job, event, { maxAttempts })).toThrow(AssayError);
              continue;
            }
            expect(isFinished(job.state)).toBe(false); // what is finished stays as it is
            const next = nextLifecycle(job, event, { maxAttempts });
            if (event.type === 'launching') launches++;
            expect(JOB_STATES).toContain(next.state);
            expect(next.attempts).toBe(launches);
            expect(next.attempts).toBeLessThanOrEqual(maxAttempts);
            if (next.state === 'failed') expect(next.failure).not.toBeNull();
            if (next.state === 'succeeded' || next.state === 'cancelled') expect(next.failure).toBeNull();
            if (isFinished(next.state) || next.state === 'queued') expect(next.cancelRequested).toBe(false);
            // Once it is to be cancelled it never fails, and is never queued again.
            if (job.cancelRequested) expect(['queued', 'failed']).not.toContain(next.state);
            job = next;
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('can always be brought to an end', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 20 }), (events) => {
        let job = NEW_JOB;
        for (const event of events) if (canTake(job.state, event.type)) job = nextLifecycle(job, event, limits);
        for (const event of [cancelRequested, failed(retryable)]) {
          if (canTake(job.state, event.type)) job = nextLifecycle(job, event, limits);
        }
        expect(isFinished(job.state)).toBe(true);
      }),
    );
  });
});
