/**
 * The life of a job, without I/O:
 *
 *     queued → starting → running → succeeded | failed | cancelled
 *
 * A failure that is worth another try goes back to queued while attempts are left. A job is recorded as starting before
 * it is launched; so what is starting was perhaps launched, what is queued was not.
 */
import { AssayError, type JobFailure, type JobState } from '@assay/contracts';

/** The part of a job's record that its state machine owns. */
export interface Lifecycle {
  readonly state: JobState;
  /** How many launches were begun. */
  readonly attempts: number;
  /** Someone wants it to stop; it has not yet. */
  readonly cancelRequested: boolean;
  /** Of the last attempt that failed. */
  readonly failure: JobFailure | null;
}

export type JobEvent =
  /** Recorded before the launch. */
  | { readonly type: 'launching' }
  | { readonly type: 'started' }
  | { readonly type: 'succeeded' }
  | { readonly type: 'failed'; readonly failure: JobFailure }
  | { readonly type: 'cancel-requested' }
  /** It has stopped because it was asked to. */
  | { readonly type: 'cancelled' };

export const NEW_JOB: Lifecycle = { state: 'queued', attempts: 0, cancelRequested: false, failure: null };

export function isFinished(state: JobState): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}

/** Which events each state takes; what is missing is illegal. */
const TAKEN: Readonly<Record<JobState, readonly JobEvent['type'][]>> = {
  queued: ['launching', 'cancel-requested'],
  starting: ['started', 'succeeded', 'failed', 'cancel-requested', 'cancelled'],
  running: ['succeeded', 'failed', 'cancel-requested', 'cancelled'],
  succeeded: [],
  failed: [],
  cancelled: [],
};

export function canTake(state: JobState, event: JobEvent['type']): boolean {
  return TAKEN[state].includes(event);
}

/**
 * The job after `event`.
 * @throws AssayError FAILED_PRECONDITION when its state does not take that event; a finished job takes none
 */
export function nextLifecycle(job: Lifecycle, event: JobEvent, limits: { readonly maxAttempts: number }): Lifecycle {
  if (!canTake(job.state, event.type)) {
    throw new AssayError('FAILED_PRECONDITION', `the job is ${job.state}; it cannot become ${meaningOf(event)}`);
  }
  switch (event.type) {
    case 'launching':
      return { ...job, state: 'starting', attempts: job.attempts + 1 };
    case 'started':
      return { ...job, state: 'running' };
    case 'succeeded':
      // Also when it was to be cancelled: it had finished before it noticed. Failures of earlier attempts are history.
      return { ...job, state: 'succeeded', cancelRequested: false, failure: null };
    case 'failed': {
      if (job.cancelRequested) return { ...job, state: 'cancelled', cancelRequested: false, failure: null };
      const triesAgain = event.failure.retryable && job.attempts < limits.maxAttempts;
      return { ...job, state: triesAgain ? 'queued' : 'failed', failure: event.failure };
    }
    case 'cancel-requested':
      if (job.state === 'queued') return { ...job, state: 'cancelled', failure: null };
      return { ...job, cancelRequested: true };
    case 'cancelled':
      return { ...job, state: 'cancelled', cancelRequested: false, failure: null };
  }
}

function meaningOf(event: JobEvent): string {
  switch (event.type) {
    case 'launching':
      return 'starting';
    case 'started':
      return 'running';
    case 'cancel-requested':
      return 'cancelled';
    default:
      return event.type;
  }
}
