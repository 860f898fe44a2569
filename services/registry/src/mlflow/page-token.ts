/** Page tokens: how many rows the pages before have shown. Opaque to clients. */
import { invalid } from './errors.ts';

/** @throws AssayError INVALID_ARGUMENT for what no page gave out */
export function offsetOf(token: string | undefined): number {
  if (token === undefined || token === '') return 0;
  const text = Buffer.from(token, 'base64url').toString();
  if (!/^o(0|[1-9]\d{0,9})$/.test(text))
    throw invalid('page_token', `"${token}" is no token of a page`, 'next_page_token of the page before');
  return Number(text.slice(1));
}

/** The rows of a page, asked for one more than it holds, and the token of the next page if there is one. */
export function pageOf<T>(
  rows: readonly T[],
  limit: number,
  offset: number,
): { rows: T[]; next: { next_page_token?: string } } {
  if (rows.length <= limit) return { rows: [...rows], next: {} };
  return {
    rows: rows.slice(0, limit),
    next: { next_page_token: Buffer.from(`o${offset + limit}`).toString('base64url') },
  };
}
