/** Compare-and-set: a write names the revision that it saw, and loses when there is another now. */
import { AssayError } from '@assay/contracts';

export interface Seen {
  /** How a message calls it: `alias champion of flight-delay`. */
  readonly what: string;
  readonly expectedRevision: number;
  /** 0 when it does not exist. */
  readonly currentRevision: number;
  /** Who made the current revision, when, and what it is now. */
  readonly last?: { readonly by?: string; readonly at: number; readonly state: string };
}

/** @throws AssayError STALE_REVISION with the current revision and who made it */
export function checkRevision({ what, expectedRevision, currentRevision, last }: Seen): void {
  if (expectedRevision === currentRevision) return;
  const now =
    currentRevision === 0 || last === undefined
      ? 'it does not exist now (expectedRevision 0 makes it)'
      : `it is at revision ${currentRevision} now: ${last.state},${last.by === undefined ? '' : ` by ${last.by}`} at ${new Date(last.at).toISOString()}`;
  throw new AssayError(
    'STALE_REVISION',
    `${what} is not at revision ${expectedRevision}; ${now}. Read it and decide anew.`,
    {
      currentRevision,
      details: [
        {
          place: 'expectedRevision',
          message: now,
          expected: `${currentRevision}`,
        },
      ],
    },
  );
}
