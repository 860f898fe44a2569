/** When a delivery is tried again, and when nobody tries any more. */

export interface Attempt {
  /** The answer's; undefined where none came. */
  readonly status?: number;
  /** How long the receiver asks to be left alone. */
  readonly retryAfterMs?: number;
}

export type Verdict =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'retry'; readonly inMs: number }
  /** The receiver says that it will never take another one. */
  | { readonly kind: 'gone' };

const FIRST_MS = 1000;
const LONGEST_MS = 60 * 60_000;

/**
 * @param attempts how many there were, this one included
 * @param random from 0 to 1: spreads those that failed together
 */
export function verdictOf({ status, retryAfterMs = 0 }: Attempt, attempts: number, random = Math.random()): Verdict {
  if (status !== undefined && status >= 200 && status < 300) return { kind: 'delivered' };
  if (status === 410) return { kind: 'gone' };
  const backoffMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempts - 1, 30)) * (1 - random / 4);
  return { kind: 'retry', inMs: Math.round(Math.max(backoffMs, Math.min(retryAfterMs, LONGEST_MS))) };
}

/** `Retry-After`: seconds, or a date. */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
