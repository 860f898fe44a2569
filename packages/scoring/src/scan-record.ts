/**
 * A record of named features from JSON bytes straight into its row: no text, no object and no garbage come in between.
 * What it takes is stored as the encoder stores what JSON.parse gives; what it does not take (escapes, numbers that are not
 * written plainly, an unknown feature, one that is given twice, anything wrong) is the encoder's to judge.
 */
import { isUtf8 } from 'node:buffer';
import type { EncodedColumn } from './encoder.ts';
import type { FloatColumn } from './interfaces.ts';
import { type Layout, storeElement } from './layout.ts';
import { scanFloat, scanFloats } from './scan-floats.ts';
import type { ElementArray } from './session.ts';
import { parseTimestamp } from './timestamp.ts';
import { integerBounds, isBigIntType, type Stored } from './values.ts';

/**
 * Stores the record that begins at `from`, or has space before it, as row `row`.
 * @param bytes JSON whose last byte is no part of a number
 * @returns the position behind its closing brace; -1 where it is not taken, and the row is in no state to be used
 */
export type ScanRecord = (bytes: Buffer, from: number, row: number, arrays: readonly ElementArray[]) => number;

/** How the values of a feature are read. */
type Kind = 'float' | 'floats' | 'integer' | 'boolean' | 'string' | 'timestamp';

interface ScannedColumn {
  readonly kind: Kind;
  readonly name: string;
  /** The name in its quotes. */
  readonly key: Buffer;
  readonly slot: number;
  readonly at: number;
  readonly stride: number;
  readonly width: number;
  readonly isFloat32: boolean;
  readonly isBigInt: boolean;
  readonly min: number;
  readonly max: number;
  readonly closed: EncodedColumn['rule']['closed'];
  readonly missing: Stored | undefined;
  /** Of the batch that is being filled. */
  array: ElementArray;
  /** The number of the last scan that found it: a record has each feature once. */
  foundBy: number;
}

/** What JSON has as it is, in ASCII. */
const PLAIN_TEXT = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
/** Integers of so many digits are exact. */
const EXACT_DIGITS = 15;
const [TAB, LF, CR, SPACE, QUOTE, COMMA, MINUS, DOT, ZERO, COLON] = [9, 10, 13, 32, 34, 44, 45, 46, 48, 58] as const;
const [UPPER_E, OPEN_LIST, BACKSLASH, LOWER_E, OPEN, CLOSE] = [69, 91, 92, 101, 123, 125] as const;
const [TRUE, FALSE, NULL] = [Buffer.from('true'), Buffer.from('false'), Buffer.from('null')];

/** Undefined where a feature needs more than a look at its bytes. */
export function createRecordScanner(layout: Layout, columns: readonly EncodedColumn[]): ScanRecord | undefined {
  const scanned: ScannedColumn[] = [];
  for (const column of columns) {
    const one = scannedColumn(layout, column);
    if (one === undefined) return undefined;
    scanned.push(one);
  }
  return scanned.length === 0 ? undefined : recordScanner(scanned);
}

function scannedColumn(layout: Layout, column: EncodedColumn): ScannedColumn | undefined {
  const { feature, rule, slot, at, width, graphType } = column;
  const kind = kindOf(column);
  if (kind === undefined || !PLAIN_TEXT.test(feature.name)) return undefined;
  const [lowest, highest] = kind === 'integer' ? integerBounds(graphType) : [rule.min, rule.max];
  return {
    kind,
    name: feature.name,
    key: Buffer.from(`"${feature.name}"`),
    slot,
    at,
    stride: layout.slots[slot]?.width ?? 0,
    width,
    isFloat32: feature.dtype === 'float32',
    isBigInt: isBigIntType(graphType),
    min: Math.max(rule.min, Number(lowest)),
    max: Math.min(rule.max, Number(highest)),
    closed: rule.closed,
    missing: rule.missing,
    array: [],
    foundBy: 0,
  };
}

function kindOf({ feature, rule, graphType }: EncodedColumn): Kind | undefined {
  const { dtype, shape } = feature;
  if (dtype === 'float32' || dtype === 'float64') {
    if (rule.closed !== undefined || shape.length > 1) return undefined;
    return shape.length === 0 ? 'float' : 'floats';
  }
  if (shape.length > 0) return undefined;
  if (dtype === 'int64') return 'integer';
  if (dtype === 'bool') return 'boolean';
  if (dtype === 'string') return 'string';
  return rule.closed === undefined && graphType === 'int64' ? 'timestamp' : undefined;
}

function recordScanner(columns: readonly ScannedColumn[]): ScanRecord {
  const byName = new Map(columns.map((column) => [column.name, column]));
  /** The features of the last record as they came: nearly always the next one has them in the same order. */
  const order = [...columns];
  let attached: readonly ElementArray[] | undefined;
  let scans = 0;

  const attach = (arrays: readonly ElementArray[]): void => {
    attached = arrays;
    for (const column of columns) column.array = arrays[column.slot] ?? column.array;
  };
  const columnAt = (bytes: Buffer, at: number, position: number): ScannedColumn | undefined => {
    const expected = order[position];
    if (expected !== undefined && isNext(bytes, at, expected.key)) return expected;
    const end = endOfText(bytes, at);
    const found = end < 0 ? undefined : byName.get(bytes.toString('latin1', at + 1, end - 1));
    if (found !== undefined) order[position] = found;
    return found;
  };
  /** Whether those that no key named may be absent. */
  const fillMissing = (row: number): boolean => {
    for (const column of columns) {
      if (column.foundBy !== scans && !storeMissing(column, row)) return false;
    }
    return true;
  };

  return (bytes, from, row, arrays) => {
    if (arrays !== attached) attach(arrays);
    scans++;
    let i = skipSpace(bytes, from);
    if (bytes[i] !== OPEN) return -1;
    for (let position = 0; position < columns.length; position++) {
      i = skipSpace(bytes, i + 1); // what began the record, or a comma
      const column = columnAt(bytes, i, position);
      if (column === undefined || column.foundBy === scans) return -1;
      column.foundBy = scans;
      i = skipSpace(bytes, i + column.key.length);
      if (bytes[i] !== COLON) return -1;
      i = scanValue(column, bytes, skipSpace(bytes, i + 1), row);
      if (i < 0) return -1;
      if (bytes[i] === CLOSE) return position === columns.length - 1 || fillMissing(row) ? i + 1 : -1;
      if (bytes[i] !== COMMA) return -1;
    }
    return -1;
  };
}

/** @returns the position of what follows the value and its space; -1 where it is not taken */
function scanValue(column: ScannedColumn, bytes: Buffer, at: number, row: number): number {
  if (bytes[at] === NULL[0]) {
    const isNull = isNext(bytes, at, NULL) && storeMissing(column, row);
    return isNull ? skipSpace(bytes, at + NULL.length) : -1;
  }
  switch (column.kind) {
    case 'float':
      return scanFloat(bytes, at, column as FloatColumn, row); // of its kind, the array is one of floats
    case 'floats': {
      if (bytes[at] !== OPEN_LIST) return -1;
      const end = scanFloats(bytes, at + 1, column as FloatColumn, 1, row); // likewise
      return end < 0 ? -1 : skipSpace(bytes, end);
    }
    case 'integer':
      return scanInteger(column, bytes, at, row);
    case 'boolean':
      return scanBoolean(column, bytes, at, row);
    default:
      return scanText(column, bytes, at, row);
  }
}

function storeMissing({ array, missing, at, stride, width }: ScannedColumn, row: number): boolean {
  if (missing === undefined) return false;
  for (let k = 0; k < width; k++) storeElement(array, at + row * stride + k, missing);
  return true;
}

function scanInteger(column: ScannedColumn, bytes: Buffer, at: number, row: number): number {
  let i = at;
  const isNegative = bytes[i] === MINUS;
  if (isNegative) i++;
  const first = i;
  let value = 0;
  for (let digit = (bytes[i] ?? 0) - ZERO; digit >= 0 && digit <= 9; digit = (bytes[++i] ?? 0) - ZERO) {
    value = value * 10 + digit;
  }
  const digits = i - first;
  if (digits === 0 || digits > EXACT_DIGITS || (digits > 1 && bytes[first] === ZERO)) return -1;
  const next = bytes[i];
  if (next === DOT || next === LOWER_E || next === UPPER_E) return -1;
  if (isNegative) value = -value;
  const { min, max, closed, isBigInt } = column;
  if (value < min || value > max || (closed !== undefined && !closed.has(value))) return -1;
  storeElement(column.array, column.at + row * column.stride, isBigInt ? BigInt(value) : value);
  return skipSpace(bytes, i);
}

function scanBoolean(column: ScannedColumn, bytes: Buffer, at: number, row: number): number {
  const isTrue = isNext(bytes, at, TRUE);
  if (!isTrue && !isNext(bytes, at, FALSE)) return -1;
  if (column.closed !== undefined && !column.closed.has(isTrue)) return -1;
  storeElement(column.array, column.at + row * column.stride, isTrue ? 1 : 0);
  return skipSpace(bytes, at + (isTrue ? TRUE : FALSE).length);
}

/** A string, or a time. */
function scanText(column: ScannedColumn, bytes: Buffer, at: number, row: number): number {
  const { kind, closed, min, max } = column;
  const end = endOfText(bytes, at);
  const text = end < 0 ? wideText(bytes, at) : bytes.toString('latin1', at + 1, end - 1);
  if (text === undefined) return -1;
  const behind = end < 0 ? at + 2 + Buffer.byteLength(text) : end;
  let value: Stored = text;
  if (kind === 'timestamp') {
    const microseconds = parseTimestamp(text);
    if (microseconds === undefined || microseconds < min || microseconds > max) return -1;
    value = microseconds;
  } else if (closed !== undefined && !closed.has(text)) return -1;
  storeElement(column.array, column.at + row * column.stride, value);
  return skipSpace(bytes, behind);
}

/** Behind the closing quote of a string of printable ASCII without escapes; -1 for any other. */
function endOfText(bytes: Buffer, at: number): number {
  if (bytes[at] !== QUOTE) return -1;
  for (let i = at + 1; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === QUOTE) return i + 1;
    if (byte === BACKSLASH || byte < SPACE || byte > 126) return -1;
  }
  return -1;
}

/** A string of other letters, without escapes. */
function wideText(bytes: Buffer, at: number): string | undefined {
  if (bytes[at] !== QUOTE) return undefined;
  const end = bytes.indexOf(QUOTE, at + 1);
  if (end < 0) return undefined;
  const within = bytes.subarray(at + 1, end);
  for (const byte of within) if (byte === BACKSLASH || byte < SPACE) return undefined;
  return isUtf8(within) ? within.toString('utf8') : undefined;
}

function isNext(bytes: Buffer, at: number, expected: Buffer): boolean {
  for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return false;
  return true;
}

function skipSpace(bytes: Buffer, at: number): number {
  let i = at;
  let byte = bytes[i];
  while (byte === SPACE || byte === LF || byte === CR || byte === TAB) byte = bytes[++i];
  return i;
}
