/**
 * Records into rows. The signature is compiled to code that checks and stores a record in one pass; whatever that does not
 * take at once goes the careful way, which applies the rules of values.ts one by one and says what is wrong.
 *
 * Feature names and constants enter the generated code as JSON literals only. Nothing else of a package does.
 */
import { type ErrorDetail, nearest } from '@assay/contracts';
import { type Column, type Layout, newArray, storeElement } from './layout.ts';
import { createRecordScanner, type ScanRecord } from './scan-record.ts';
import type { ElementArray } from './session.ts';
import { parseTimestamp } from './timestamp.ts';
import { integerBounds, isBigIntType, isRefused, ruleOf, show, type ValueRule } from './values.ts';

/** More wrong places than this do not help a reader. */
const MAX_DETAILS = 20;
/** Looking for similar names costs; a record full of wrong ones gets few suggestions. */
const MAX_SUGGESTIONS = 3;
/** V8 does not optimize functions that are too long. */
const COLUMNS_A_FUNCTION = 48;

export interface EncodedColumn extends Column {
  readonly rule: ValueRule;
}

export interface Encoder {
  readonly layout: Layout;
  readonly columns: readonly EncodedColumn[];
  readonly columnByName: ReadonlyMap<string, EncodedColumn>;
  /** Room for rows. */
  newArrays(rows: number): ElementArray[];
  /**
   * Stores a record as row `row`.
   * @param details gets what is wrong, up to a bound; places begin with `place`
   * @returns whether it was right; else the row is in no state to be used
   */
  encode(record: unknown, row: number, arrays: readonly ElementArray[], place: string, details: ErrorDetail[]): boolean;
  /** Stores a record from its JSON, if it is in its usual form. */
  readonly scan: ScanRecord;
}

/** Stores a record and gives the number of features that it had, or -1 if the careful way must look at it. */
type StoreRecord = (record: object, row: number, arrays: readonly ElementArray[]) => number;

/**
 * @param options.compiled false: every record goes the careful way, which gives the same and takes longer
 * @throws AssayError UNPROCESSABLE_MODEL when the signature contradicts itself
 */
export function createEncoder(layout: Layout, { compiled = true }: { compiled?: boolean } = {}): Encoder {
  const columns = layout.columns.map((column): EncodedColumn => ({ ...column, rule: ruleOf(column) }));
  const columnByName = new Map(columns.map((column) => [column.feature.name, column]));
  const store = compiled ? compile(layout, columns) : () => -1;

  const encodeCarefully = (
    record: unknown,
    row: number,
    arrays: readonly ElementArray[],
    place: string,
    details: ErrorDetail[],
  ): boolean => {
    const before = details.length;
    let wrong = 0;
    const report = (detail: ErrorDetail): void => {
      wrong++;
      if (before + wrong <= MAX_DETAILS) details.push(detail);
    };
    if (!isRecord(record)) {
      report({
        place: place === '' ? 'record' : place,
        message: `${show(record)} is not a record`,
        expected: 'an object of named features',
      });
      return false;
    }
    for (const column of columns) {
      const { feature, rule, slot, at, width } = column;
      const array = arrays[slot];
      if (array === undefined) return false;
      const value = Object.hasOwn(record, feature.name) ? record[feature.name] : undefined;
      const start = row * widthOf(layout, slot) + at;
      const where = joinPlace(place, feature.name);
      if (value === undefined || value === null) {
        if (rule.missing === undefined) {
          report({
            place: where,
            message: value === null ? 'null is not allowed' : 'is required',
            expected: expectedOf(column),
          });
        } else {
          for (let i = 0; i < width; i++) storeElement(array, start + i, rule.missing);
        }
      } else {
        encodeValue(column, value, array, start, where, report);
      }
    }
    let suggestions = 0;
    for (const name in record) {
      if (columnByName.has(name) || record[name] === undefined) continue;
      const similar = suggestions++ < MAX_SUGGESTIONS ? nearestName(name, columnByName) : undefined;
      const hint = similar === undefined ? '' : `; did you mean ${JSON.stringify(similar)}?`;
      report({ place: joinPlace(place, name), message: `unknown feature ${show(name)}${hint}` });
      if (before + wrong > MAX_DETAILS) break;
    }
    return wrong === 0;
  };

  // Made when there is something to scan: many encoders are used for tensors only.
  let scanner: ScanRecord | undefined;
  const scan: ScanRecord = (bytes, from, row, arrays) => {
    scanner ??= createRecordScanner(layout, columns) ?? (() => -1);
    return scanner(bytes, from, row, arrays);
  };

  return {
    layout,
    columns,
    columnByName,
    scan,
    newArrays: (rows) => layout.slots.map(({ type, width }) => newArray(type, rows * width)),
    encode(record, row, arrays, place, details) {
      if (isRecord(record)) {
        let left = store(record, row, arrays);
        if (left >= 0) {
          for (const _name in record) if (--left < 0) break;
          if (left === 0) return true;
        }
      }
      return encodeCarefully(record, row, arrays, place, details);
    },
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function widthOf(layout: Layout, slot: number): number {
  return layout.slots[slot]?.width ?? 0;
}

/** `records[0]` and `distance` → `records[0].distance`; names that are no identifiers in brackets. */
export function joinPlace(place: string, name: string): string {
  const shown = name.length > 64 ? `${name.slice(0, 64)}…` : name;
  if (/^[A-Za-z_$][\w$-]*$/.test(shown)) return place === '' ? shown : `${place}.${shown}`;
  return `${place}[${JSON.stringify(shown)}]`;
}

/** The feature's name that was probably meant, if looking for it is cheap. */
export function nearestName(name: string, columns: ReadonlyMap<string, EncodedColumn>): string | undefined {
  return name.length <= 64 && columns.size <= 1000 ? nearest(name, columns.keys()) : undefined;
}

export function expectedOf({ feature, rule }: EncodedColumn): string {
  return feature.shape.length === 0 ? rule.expected : `an array [${feature.shape.join(', ')}], each ${rule.expected}`;
}

/** A value that is not missing: a scalar, or an array nested as the shape says. */
function encodeValue(
  column: EncodedColumn,
  value: unknown,
  array: ElementArray,
  start: number,
  place: string,
  report: (detail: ErrorDetail) => void,
): void {
  const { rule, feature } = column;
  let next = start;
  const visit = (item: unknown, depth: number, where: string): boolean => {
    const size = feature.shape[depth];
    if (size === undefined) {
      const stored = isMissing(item) && rule.missing !== undefined ? rule.missing : rule.fromRecord(item);
      if (isRefused(stored)) {
        report({ place: where, message: stored.message, expected: stored.expected });
        return false;
      }
      storeElement(array, next++, stored);
      return true;
    }
    if (!Array.isArray(item)) {
      report({ place: where, message: `${show(item)} is not an array`, expected: expectedOf(column) });
      return false;
    }
    if (item.length !== size) {
      report({ place: where, message: `has ${item.length} elements, not ${size}`, expected: expectedOf(column) });
      return false;
    }
    for (let i = 0; i < size; i++) {
      if (!visit(item[i], depth + 1, `${where}[${i}]`)) return false; // one place in a vector says enough
    }
    return true;
  };
  visit(value, 0, place);
}

export function isMissing(value: unknown): boolean {
  return value === null || Number.isNaN(value);
}

// --- generated code

/** What generated code is given besides its arguments. */
interface Closure {
  readonly parseTimestamp: typeof parseTimestamp;
  readonly hasOwn: typeof Object.hasOwn;
  readonly closed: (ReadonlySet<unknown> | undefined)[];
  readonly vectors: ((value: unknown, array: ElementArray, at: number) => boolean)[];
}

function compile(layout: Layout, columns: readonly EncodedColumn[]): StoreRecord {
  const parts: StoreRecord[] = [];
  for (let from = 0; from < columns.length; from += COLUMNS_A_FUNCTION) {
    parts.push(compilePart(layout, columns.slice(from, from + COLUMNS_A_FUNCTION)));
  }
  const [first, ...others] = parts;
  if (first !== undefined && others.length === 0) return first;
  return (record, row, arrays) => {
    let present = 0;
    for (const part of parts) {
      const found = part(record, row, arrays);
      if (found < 0) return -1;
      present += found;
    }
    return present;
  };
}

function compilePart(layout: Layout, columns: readonly EncodedColumn[]): StoreRecord {
  const closure: Closure = {
    parseTimestamp,
    hasOwn: Object.hasOwn,
    closed: columns.map(({ rule }) => rule.closed),
    vectors: columns.map(vectorStore),
  };
  const slots = [...new Set(columns.map(({ slot }) => slot))];
  const body = [
    'const {parseTimestamp,hasOwn,closed,vectors}=closure;',
    'return function store(record,row,arrays){let v,t,n=0;',
    ...slots.map((slot) => `const a${slot}=arrays[${slot}],b${slot}=row*${widthOf(layout, slot)};`),
    ...columns.map(storeCode),
    'return n;}',
  ];
  // The text holds numbers that this file made and JSON string literals: data of a package cannot become code.
  const make = new Function('closure', body.join('\n')) as (closure: Closure) => StoreRecord;
  return make(closure);
}

/** A name as it stands in generated code. JSON strings are JavaScript strings. */
function literal(name: string): string {
  return JSON.stringify(name);
}

function storeCode(column: EncodedColumn, i: number): string {
  const { feature, rule, slot, at } = column;
  const key = literal(feature.name);
  // An absent `constructor` or `__proto__` must not be found on the prototype.
  const read = feature.name in Object.prototype ? `hasOwn(record,${key})?record[${key}]:undefined` : `record[${key}]`;
  const target = `a${slot}[b${slot}+${at}]`;
  if (feature.shape.length > 0) {
    return `v=${read};if(v!==undefined&&vectors[${i}](v,a${slot},b${slot}+${at}))n++;else return -1;`;
  }
  const { condition, stored } = scalarCode(column, i);
  let missing = 'return -1;';
  if (rule.missing !== undefined) {
    const value = typeof rule.missing === 'string' ? literal(rule.missing) : 'NaN';
    missing = `if(v===undefined)${target}=${value};else if(v===null||v!==v){${target}=${value};n++;}else return -1;`;
  }
  return `v=${read};if(${condition}){${target}=${stored};n++;}else ${missing}`;
}

/** When a scalar `v` is taken at once, and what is stored for it. */
function scalarCode({ feature, graphType, rule }: EncodedColumn, i: number): { condition: string; stored: string } {
  const number = (value: number): string => (Object.is(value, -0) ? '0' : String(value));
  const inRange = (name: string): string =>
    (rule.min === Number.NEGATIVE_INFINITY ? '' : `&&${name}>=${number(rule.min)}`) +
    (rule.max === Number.POSITIVE_INFINITY ? '' : `&&${name}<=${number(rule.max)}`);
  const inSet = (name: string): string => (rule.closed === undefined ? '' : `&&closed[${i}].has(${name})`);
  const [lowest, highest] = integerBounds(graphType);
  const big = isBigIntType(graphType);
  switch (feature.dtype) {
    case 'float64':
      return { condition: `typeof v==='number'&&v-v===0${inRange('v')}${inSet('v')}`, stored: 'v' };
    case 'float32':
      return {
        condition: `typeof v==='number'&&(t=Math.fround(v))-t===0${inRange('t')}${inSet('t')}`,
        stored: 't',
      };
    case 'int64': {
      const least = lowest < BigInt(Number.MIN_SAFE_INTEGER) ? '' : `&&v>=${lowest}`;
      const most = highest > BigInt(Number.MAX_SAFE_INTEGER) ? '' : `&&v<=${highest}`;
      return {
        condition: `Number.isSafeInteger(v)${least}${most}${inRange('v')}${inSet('v')}`,
        stored: big ? 'BigInt(v)' : 'v',
      };
    }
    case 'timestamp': {
      // Sets and bounds of doubles take the careful way: they are rare.
      const plain = rule.closed === undefined && graphType === 'int64';
      return {
        condition: plain ? `typeof v==='string'&&(t=parseTimestamp(v))!==undefined${inRange('t')}` : 'false',
        stored: 't',
      };
    }
    case 'bool':
      return { condition: `typeof v==='boolean'${inSet('v')}`, stored: 'v?1:0' };
    case 'string':
      return {
        condition:
          rule.closed === undefined
            ? `typeof v==='string'&&v.isWellFormed()&&!v.includes('\\0')`
            : `typeof v==='string'&&closed[${i}].has(v)`,
        stored: 'v',
      };
  }
}

/** Stores a vector of one dimension at once; others, and whatever is not right, take the careful way. */
function vectorStore({ feature, rule }: EncodedColumn): (value: unknown, array: ElementArray, at: number) => boolean {
  const [size, ...more] = feature.shape;
  if (size === undefined || more.length > 0) return () => false;
  const plainFloat =
    (feature.dtype === 'float64' || feature.dtype === 'float32') &&
    rule.closed === undefined &&
    rule.min === Number.NEGATIVE_INFINITY &&
    rule.max === Number.POSITIVE_INFINITY;
  if (plainFloat) {
    const isFloat32 = feature.dtype === 'float32';
    return (value, array, at) => {
      if (!Array.isArray(value) || value.length !== size) return false;
      for (let i = 0; i < size; i++) {
        const item: unknown = value[i];
        if (typeof item !== 'number') return false;
        const rounded = isFloat32 ? Math.fround(item) : item;
        if (rounded - rounded !== 0) return false;
        storeElement(array, at + i, rounded);
      }
      return true;
    };
  }
  return (value, array, at) => {
    if (!Array.isArray(value) || value.length !== size) return false;
    for (let i = 0; i < size; i++) {
      const stored = rule.fromRecord(value[i]);
      if (isRefused(stored)) return false;
      storeElement(array, at + i, stored);
    }
    return true;
  };
}
