import { AssayError } from '@assay/contracts';

/** @throws AssayError INVALID_ARGUMENT for a longer wait than the setting `maxLongPollMs` allows */
export function checkWait(waitMs: number, maxLongPollMs: number): void {
  if (waitMs <= maxLongPollMs) return;
  throw new AssayError('INVALID_ARGUMENT', `waitMs: ${waitMs} is more than ${maxLongPollMs} (setting maxLongPollMs)`, {
    details: [{ place: 'query.waitMs', message: `${waitMs} is too long`, expected: `at most ${maxLongPollMs}` }],
  });
}
