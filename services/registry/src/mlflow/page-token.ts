/**
 * Page tokens, opaque to clients: how many rows the pages before have shown, or, where there may be very many, the last of
 * these rows.
 */
import { invalid } from './errors.ts';

/** @throws AssayError INVALID_ARGUMENT for what no page gave out */
export function offsetOf(token: string | undefined): number {
  if (token === undefined || token === '') return 0;
  const text = Buffer.from(token, 'base64url').toString();
  if (!/^o(0|[1-9]\d{0,9})$/.test(text)) throw noToken(token);
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

/** After which row a page begins, as the page before has told; undefined for the first. @throws AssayError INVALID_ARGUMENT */
export function rowBefore(token: string | undefined): unknown {
  if (token === undefined || token === '') return undefined;
  try {
    return JSON.parse(Buffer.from(token, 'base64url').toString());
  } catch {
    throw noToken(token);
  }
}

export function tokenAfter(row: unknown): string {
  return Buffer.from(JSON.stringify(row)).toString('base64url');
}

export function noToken(token: string | undefined): Error {
  return invalid('page_token', `"${token}" is no token of a page`, 'next_page_token of the page before');
}
