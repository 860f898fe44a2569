/**
 * Deadlines. A deadline is a moment on this thread's monotonic clock (`performance.now()`, milliseconds); it never
 * crosses a thread or process as such: what travels is the time that is left, in `Assay-Timeout-Ms`.
 */
import { AssayError } from '@assay/contracts';

export const TIMEOUT_HEADER = 'assay-timeout-ms';
/** No caller may ask for more. */
export const MAX_TIMEOUT_MS = 600_000;

/**
 * The milliseconds that an `Assay-Timeout-Ms` header asks for: a whole number from 1 to 600,000, digits only.
 * @param defaultMs what holds when there is no header
 * @throws AssayError INVALID_ARGUMENT when there is one and it is anything else
 */
export function parseTimeoutMs(header: string | readonly string[] | undefined, defaultMs: number): number {
  if (header === undefined) return defaultMs;
  if (typeof header === 'string' && /^[1-9]\d{0,5}$/.test(header)) {
    const timeoutMs = Number(header);
    if (timeoutMs <= MAX_TIMEOUT_MS) return timeoutMs;
  }
  const message = `Assay-Timeout-Ms must be a whole number of milliseconds from 1 to ${MAX_TIMEOUT_MS}, got ${JSON.stringify(header)}`;
  throw new AssayError('INVALID_ARGUMENT', message, {
    details: [
      {
        place: 'header Assay-Timeout-Ms',
        message: `${JSON.stringify(header)} is no time-out`,
        expected: `a whole number from 1 to ${MAX_TIMEOUT_MS}`,
      },
    ],
  });
}

/** The deadline that is `timeoutMs` from now. */
export function deadlineAfter(timeoutMs: number): number {
  return performance.now() + timeoutMs;
}

/** What is left until the deadline, in whole milliseconds, for the `Assay-Timeout-Ms` of a call made within it; 0 = none. */
export function remainingMs(deadlineMs: number): number {
  return Math.min(MAX_TIMEOUT_MS, Math.max(0, Math.floor(deadlineMs - performance.now())));
}

/** A signal that aborts with a TimeoutError at the deadline, or as `signal` does before. */
export function deadlineSignal(deadlineMs: number, signal?: AbortSignal): AbortSignal {
  const timeout = AbortSignal.timeout(Math.max(0, Math.ceil(deadlineMs - performance.now())));
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}
