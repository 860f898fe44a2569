/** How the parts of a request are read, and what is said of those that are wrong. */
import { AssayError, type ErrorDetail, nearest } from '@assay/contracts';

export type Fields = Readonly<Record<string, unknown>>;

export function readObject(value: unknown, place: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(place, 'must be an object');
  const fields = value as Fields; // any object may be read by key; what is not there is undefined
  for (const key in fields) {
    if (!known.includes(key)) {
      const suggestion = nearest(key.slice(0, 64), known);
      const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
      throw wrong(place, `unknown key ${quote(key)}${hint}`, `one of ${known.join(', ')}`);
    }
  }
  return fields;
}

/** What an extension says; undefined where it says nothing, null included. */
export function parameterOf(parameters: unknown, name: string): unknown {
  if (typeof parameters !== 'object' || parameters === null || !Object.hasOwn(parameters, name)) return undefined;
  return (parameters as Fields)[name] ?? undefined; // an object may be read by key
}

export function readFlag(parameters: unknown, name: string, place: string): boolean | undefined {
  const value = parameterOf(parameters, name);
  if (value === undefined || typeof value === 'boolean') return value;
  throw wrong(`${place}.${name}`, `${quote(value)} is neither true nor false`);
}

export function wrong(place: string, message: string, expected?: string): AssayError {
  return wrongPlaces([{ place, message, ...(expected === undefined ? {} : { expected }) }]);
}

export function wrongPlaces(details: readonly ErrorDetail[]): AssayError {
  const [first] = details;
  const expected = first?.expected === undefined ? '' : `; expected ${first.expected}`;
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  return new AssayError('INVALID_ARGUMENT', `${first?.place}: ${first?.message}${expected}${more}`, { details });
}

export function quote(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'bigint') return value.toString().slice(0, 40);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
