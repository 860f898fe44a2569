/** JSON that keeps integers beyond 2^53: read as bigint, written from bigint, digit for digit. */

// The lib of TypeScript does not know JSON's source text access (ES2026) yet.
const parseWithSource = JSON.parse as (
  text: string,
  reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
) => unknown;
const rawJson = (JSON as JSON & { rawJSON(text: string): unknown }).rawJSON;

/** A run of sixteen digits is the shortest that can be an integer which a double does not hold. */
const MAY_HOLD_LARGE_INTEGER = /\d{16}/;
const INTEGER = /^-?\d+$/;

/** `text` parsed; integers that a double cannot hold exactly come as bigint. Throws SyntaxError where it is no JSON. */
export function decodeJson(text: string): unknown {
  if (!MAY_HOLD_LARGE_INTEGER.test(text)) return JSON.parse(text);
  return parseWithSource(text, (_key, value, context) => {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
    const source = context.source ?? '';
    return INTEGER.test(source) ? BigInt(source) : value;
  });
}

/** `value` as JSON text; a bigint is written as the integer that it is. */
export function encodeJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_key, part: unknown) => (typeof part === 'bigint' ? rawJson(String(part)) : part),
    indent,
  );
}
