/** Cursors of lists: `next` of one page is `after` of the following one. */
import { AssayError } from '@assay/contracts';

export const DEFAULT_LIMIT = 100;

/**
 * A cursor that is a number.
 * @throws AssayError INVALID_ARGUMENT for what no list gave out
 */
export function numberCursor(after: string | undefined): number | undefined {
  if (after === undefined) return undefined;
  if (!/^\d{1,15}$/.test(after)) throw noCursor(after);
  return Number(after);
}

/**
 * A cursor that is two ids.
 * @throws AssayError INVALID_ARGUMENT for what no list gave out
 */
export function pairCursor(after: string | undefined): string | undefined {
  if (after !== undefined && !/^\w{1,64}\.\w{1,64}$/.test(after)) throw noCursor(after);
  return after;
}

function noCursor(after: string): AssayError {
  const message = `"${after}" is no cursor of this list`;
  return new AssayError('INVALID_ARGUMENT', `after: ${message}`, {
    details: [{ place: 'query.after', message, expected: '`next` of the page before' }],
  });
}
