/**
 * JSON that keeps integers exact. JSON's numbers have no bound; JavaScript's lose exactness beyond 2^53. Here an integer
 * literal beyond that is read as a bigint and a bigint is written as a literal, so that int64 values pass unchanged.
 */

/** An integer literal of 16 digits or more may be beyond 2^53; text without one needs no reviver, which costs tenfold. */
const LONG_INTEGER = /(?:^|[^.\d])\d{16}/;
const INTEGER_LITERAL = /^-?\d+$/;
/**
 * Longer literals are far beyond int64 and stay the doubles that they are: making a bigint takes time that grows with the
 * square of the digits, seconds for a megabyte of them.
 */
const MAX_INTEGER_DIGITS = 40;

/** The third argument of a reviver (ECMAScript's JSON.parse source text access). */
interface ReviverContext {
  readonly source?: string;
}

/**
 * `JSON.parse`, except that an integer literal which a double cannot be trusted to hold is a bigint. A literal with a
 * fraction or an exponent, or of more than 40 digits, is a double as ever.
 * @throws SyntaxError as JSON.parse does
 */
export function parseExactJson(text: string): unknown {
  if (!LONG_INTEGER.test(text)) return JSON.parse(text);
  const revive = (_key: string, value: unknown, context?: ReviverContext): unknown =>
    typeof value === 'number' &&
    !Number.isSafeInteger(value) &&
    context?.source !== undefined &&
    context.source.length <= MAX_INTEGER_DIGITS &&
    INTEGER_LITERAL.test(context.source)
      ? BigInt(context.source)
      : value;
  return JSON.parse(text, revive);
}

/** What `JSON.rawJSON` makes: text that JSON.stringify writes as it is. TypeScript's library does not know it yet. */
const rawJson = (JSON as unknown as { rawJSON(text: string): object }).rawJSON; // Node has it since 21

/** An int64 ready for JSON.stringify: a number where that is exact, else a raw literal of all its digits. */
export function exactInteger(value: bigint): number | object {
  const asNumber = Number(value);
  return Number.isSafeInteger(asNumber) ? asNumber : rawJson(value.toString());
}

/** JSON.stringify writes it without its sign; with a fraction, as readers take `-0` for an integer, which has none. */
export const MINUS_ZERO: object = rawJson('-0.0');

/** `JSON.stringify`, with bigints written as integer literals. */
export function stringifyExactJson(value: unknown, space?: number): string {
  return JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? exactInteger(item) : item), space);
}
