/** Cursors of lists: `next` of one page is `after` of the following one. */
import { AssayError } from '@assay/contracts';

export const DEFAULT_LIMIT = 100;

/**
 * A cursor that is a number.
 * @throws AssayError INVALID_ARGUMENT for what no list gave out
 */
export function numberCursor(after: string | undefined): number | undefined {
  if (after === undefined) return undefined;
  if (!/^\d{1,15}$/.test(after)) {
    throw new AssayError('INVALID_ARGUMENT', `after: "${after}" is no cursor of this list`, {
      details: [
        {
          place: 'query.after',
          message: `"${after}" is no cursor of this list`,
          expected: '`next` of the page before',
        },
      ],
    });
  }
  return Number(after);
}
