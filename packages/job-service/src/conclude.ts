/** What the end of an attempt means for its job: what the attempt itself reported counts before how its process ended. */
import type { JobFailure } from '@assay/contracts';

/** How the attempt's process ended. */
export type AttemptEnd =
  | { readonly outcome: 'succeeded' | 'cancelled' }
  | { readonly outcome: 'failed'; readonly failure: JobFailure };

export type Conclusion =
  | { readonly type: 'succeeded' | 'cancelled' }
  | { readonly type: 'failed'; readonly failure: JobFailure };

export function conclude(
  reported: { readonly result: object | null; readonly failure: JobFailure | null },
  end: AttemptEnd,
  attempts: number,
): Conclusion {
  // Its work is done and recorded, whatever became of the process after that.
  if (reported.result !== null) return { type: 'succeeded' };
  if (reported.failure !== null) return { type: 'failed', failure: reported.failure };
  switch (end.outcome) {
    case 'cancelled':
      return { type: 'cancelled' };
    case 'failed':
      return { type: 'failed', failure: worthAnotherTry(end.failure, attempts) };
    case 'succeeded': {
      const message = 'its process ended without reporting a result';
      return { type: 'failed', failure: { kind: 'internal', message, retryable: false } };
    }
  }
}

/**
 * A process that was killed from outside cannot be told from one that the system killed for memory where the system does
 * not say; and memory may have run out because of a neighbour. Once more is worth it, not more often.
 */
function worthAnotherTry(failure: JobFailure, attempts: number): JobFailure {
  return failure.kind === 'out-of-memory' && attempts === 1 ? { ...failure, retryable: true } : failure;
}
