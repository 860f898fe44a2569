/**
 * Canonical JSON (RFC 8785, https://www.rfc-editor.org/rfc/rfc8785): one text for one value, so that a digest of it can
 * be made again by anyone, in any language.
 */

/** @throws TypeError for what JSON cannot say: NaN, Infinity, functions, undefined, bigint. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${value} has no JSON form`);
    return JSON.stringify(value); // ECMAScript's number form is the one that RFC 8785 prescribes
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object') {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1)) // by UTF-16 code units, as JavaScript compares strings
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  throw new TypeError(`a ${typeof value} has no JSON form`);
}
