/** From the bytes of a request to a value that is safe to look at. */
import { isUtf8 } from 'node:buffer';
import { AssayError } from '@assay/contracts';
import { findJsonMistake } from './json-syntax.ts';

export interface ParseJsonOptions {
  /** How many arrays and objects may be inside each other. */
  readonly maxDepth?: number;
  /** As for `JSON.parse`; `context.source` gives a number's own text, for integers beyond 2^53. */
  readonly reviver?: (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;
}

export const DEFAULT_MAX_DEPTH = 64;

/**
 * The JSON in a body.
 * @throws AssayError INVALID_ARGUMENT: empty, not UTF-8, nested too deeply (judged before it is parsed), not JSON (with
 *   line and column), or with a key that could reach an object's prototype
 */
export function parseJson(bytes: Uint8Array, options: ParseJsonOptions = {}): unknown {
  if (bytes.byteLength === 0) throw invalid('the body is empty; expected JSON');
  if (!isUtf8(bytes)) throw invalid('the body is not valid UTF-8; JSON must be');
  checkDepth(bytes, options.maxDepth ?? DEFAULT_MAX_DEPTH);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  // TypeScript's library does not know the reviver's third argument yet (https://tc39.es/proposal-json-parse-with-source/)
  const reviver = options.reviver as Parameters<typeof JSON.parse>[1];
  let value: unknown;
  try {
    value = JSON.parse(text, reviver);
  } catch (error) {
    if (error instanceof AssayError) throw error;
    const mistake = findJsonMistake(text);
    if (mistake === undefined) throw error; // the text is JSON: the reviver threw
    const where = `line ${mistake.line}, column ${mistake.column}`;
    const found = mistake.offset < text.length ? `found ${show(text, mistake.offset)}` : 'the body ends there';
    throw invalid(`the body is not JSON: ${where}: expected ${mistake.expected}, ${found}`, {
      place: `body:${mistake.line}:${mistake.column}`,
      expected: mistake.expected,
    });
  }
  if (MAY_HOLD_PROTOTYPE_KEY.test(text)) refusePrototypeKeys(value);
  return value;
}

function invalid(message: string, detail?: { place: string; expected: string }): AssayError {
  return new AssayError('INVALID_ARGUMENT', message, {
    details: [
      { place: detail?.place ?? 'body', message, ...(detail === undefined ? {} : { expected: detail.expected }) },
    ],
  });
}

function show(text: string, offset: number): string {
  return JSON.stringify(String.fromCodePoint(text.codePointAt(offset) ?? 0));
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** One pass over the bytes, strings skipped; a body with fewer bytes than levels allowed needs none. */
function checkDepth(bytes: Uint8Array, maxDepth: number): void {
  if (bytes.length <= maxDepth) return;
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) {
      for (i++; i < bytes.length && bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++;
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > maxDepth) {
        throw invalid(`the body is nested more than ${maxDepth} levels deep, at byte ${i}; no request of Assay is`);
      }
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
}

/** Escapes are suspected too, since `__proto__` is the same key as the plain one. */
const MAY_HOLD_PROTOTYPE_KEY = /__proto__|"constructor"|\\u00/i;

function refusePrototypeKeys(root: unknown): void {
  const stack: { value: unknown; place: string }[] = [{ value: root, place: '' }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { value, place } = top;
    if (typeof value !== 'object' || value === null) continue;
    if (Array.isArray(value)) {
      value.forEach((item, i) => void stack.push({ value: item, place: `${place}[${i}]` }));
      continue;
    }
    for (const [key, child] of Object.entries(value)) {
      const here = place === '' ? key : `${place}.${key}`;
      const reachesPrototype =
        key === '__proto__' ||
        (key === 'constructor' && typeof child === 'object' && child !== null && Object.hasOwn(child, 'prototype'));
      if (reachesPrototype) {
        const message = `${here}: the key "${key}" is not allowed: it could reach an object's prototype`;
        throw new AssayError('INVALID_ARGUMENT', message, { details: [{ place: here, message: 'is not allowed' }] });
      }
      stack.push({ value: child, place: here });
    }
  }
}
