/**
 * What a feature's value may be, and what the graph gets for it. These rules are the meaning of the signature; the
 * generated code of the encoder is a faster way to the same answer.
 */
import { AssayError, type Feature, nearest } from '@assay/contracts';
import type { Column } from './layout.ts';
import type { ElementType } from './session.ts';
import { parseTimestamp, TIMESTAMP_EXPECTED } from './timestamp.ts';

/** A value as it is stored: numbers, bigints for 64-bit integers, strings. */
export type Stored = number | bigint | string;

/** Why a value was refused. */
export interface Refused {
  readonly message: string;
  readonly expected: string;
}

/** How one element of a feature is judged. */
export interface ValueRule {
  /** What a right value is, in words. */
  readonly expected: string;
  /** What the graph gets for a missing value; undefined where none may be missing. */
  readonly missing: Stored | undefined;
  /** Inclusive; infinite where there is none. float32 bounds are rounded to float32, as the values are. */
  readonly min: number;
  readonly max: number;
  /** Of a closed set, in the form of `canonical`. */
  readonly closed: ReadonlySet<number | bigint | string | boolean> | undefined;
  /** A value that is not missing, from a record. */
  fromRecord(value: unknown): Stored | Refused;
  /** The same from a tensor, where a timestamp is microseconds and a bool may be 0 or 1. */
  fromTensor(value: unknown): Stored | Refused;
}

export function isRefused(result: Stored | Refused): result is Refused {
  return typeof result === 'object';
}

/** The integers that an element type holds exactly. */
const INTEGER_BOUNDS: Partial<Record<ElementType, readonly [bigint, bigint]>> = {
  int8: [-128n, 127n],
  int16: [-32_768n, 32_767n],
  int32: [-2_147_483_648n, 2_147_483_647n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint8: [0n, 255n],
  uint16: [0n, 65_535n],
  uint32: [0n, 4_294_967_295n],
  uint64: [0n, 2n ** 63n - 1n], // the signature's int64 reaches no further
  float64: [-(2n ** 53n) + 1n, 2n ** 53n - 1n],
};

export function integerBounds(type: ElementType): readonly [bigint, bigint] {
  return INTEGER_BOUNDS[type] ?? [-(2n ** 24n), 2n ** 24n];
}

export function isBigIntType(type: ElementType): boolean {
  return type === 'int64' || type === 'uint64';
}

/** The rule of one column. @throws AssayError UNPROCESSABLE_MODEL when the signature contradicts itself */
export function ruleOf({ feature, graphType }: Pick<Column, 'feature' | 'graphType'>): ValueRule {
  const round = feature.dtype === 'float32' ? Math.fround : (value: number) => value;
  const min = round(feature.range?.min ?? Number.NEGATIVE_INFINITY);
  const max = round(feature.range?.max ?? Number.POSITIVE_INFINITY);
  if (min > max) throw contradiction(feature, `its range is empty: ${min} to ${max}`);
  const closed = feature.values?.set === 'closed' ? closedSet(feature) : undefined;
  const expected = describe(feature, min, max, graphType);
  const refuse = (message: string): Refused => ({ message, expected });
  const numeric = (value: number): Refused | undefined => {
    if (value < min || value > max) return refuse(`${value} is outside the range`);
    if (closed !== undefined && !closed.has(value)) return refuse(`${value} is not one of the allowed values`);
    return undefined;
  };

  const float = (value: unknown): Stored | Refused => {
    if (typeof value !== 'number' && typeof value !== 'bigint') return refuse(`${show(value)} is not a number`);
    const number = Number(value); // a bigint is an integer literal of many digits: the nearest double, as JSON.parse gives
    if (Number.isNaN(number)) return refuse('NaN is not a value here');
    if (!Number.isFinite(number)) return refuse('the number is not finite');
    const rounded = round(number);
    if (!Number.isFinite(rounded)) return refuse(`${number} is beyond the range of float32`);
    return numeric(rounded) ?? rounded;
  };

  const [lowest, highest] = integerBounds(graphType);
  const toStored = (value: bigint | number): Stored => (isBigIntType(graphType) ? BigInt(value) : Number(value));
  const integer = (value: unknown): Stored | Refused => {
    if (typeof value !== 'number' && typeof value !== 'bigint') return refuse(`${show(value)} is not an integer`);
    if (typeof value === 'number' && !Number.isSafeInteger(value)) {
      if (!Number.isInteger(value)) return refuse(`${value} is not an integer`);
      return refuse(`${value} is beyond 2^53, where a JSON number of this form may have lost its exact value`);
    }
    if (value < lowest || value > highest) return refuse(`${value} is beyond ${lowest} to ${highest}`);
    if (value < min || value > max) return refuse(`${value} is outside the range`);
    if (closed !== undefined && !closed.has(canonical(value)))
      return refuse(`${value} is not one of the allowed values`);
    return toStored(value);
  };

  const text = (value: unknown): Stored | Refused => {
    if (typeof value !== 'string') return refuse(`${show(value)} is not a string`);
    if (value.includes('\0')) return refuse('the string holds U+0000, where the graph would cut it');
    if (!value.isWellFormed()) return refuse('the string holds half of a surrogate pair');
    if (closed === undefined || closed.has(value)) return value;
    const known = [...closed].filter((item) => typeof item === 'string');
    const suggestion = value.length <= 64 && known.length <= 1000 ? nearest(value, known) : undefined;
    const hint = suggestion === undefined ? '' : `; did you mean ${JSON.stringify(suggestion)}?`;
    return refuse(`${show(value)} is not one of the allowed values${hint}`);
  };

  const boolean = (value: unknown): Stored | Refused => {
    if (typeof value !== 'boolean') return refuse(`${show(value)} is not a boolean`);
    if (closed !== undefined && !closed.has(value)) return refuse(`${value} is not one of the allowed values`);
    return value ? 1 : 0;
  };

  const instant = (value: unknown): Stored | Refused => {
    if (typeof value !== 'string') return refuse(`${show(value)} is not a time`);
    const microseconds = parseTimestamp(value);
    return microseconds === undefined
      ? refuse(`${show(value)} is not a time that is known exactly`)
      : integer(microseconds);
  };

  const missingValue = graphType === 'string' ? '' : Number.NaN;
  const common = { expected, missing: feature.nullable ? missingValue : undefined, min, max, closed };
  switch (feature.dtype) {
    case 'float32':
    case 'float64':
      return { ...common, fromRecord: float, fromTensor: float };
    case 'int64':
      return { ...common, fromRecord: integer, fromTensor: integer };
    case 'timestamp':
      return { ...common, fromRecord: instant, fromTensor: integer };
    case 'bool':
      return {
        ...common,
        fromRecord: boolean,
        fromTensor: (value) => boolean(value === 1 ? true : value === 0 ? false : value),
      };
    case 'string':
      return { ...common, fromRecord: text, fromTensor: text };
  }
}

/** One form for one integer, since 1 and 1n are two keys of a set. */
function canonical(value: number | bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function closedSet(feature: Feature): ReadonlySet<number | bigint | string | boolean> {
  const values = feature.values?.values ?? [];
  return new Set(
    values.map((value) => {
      switch (feature.dtype) {
        case 'string':
          if (typeof value === 'string' && value.isWellFormed() && !value.includes('\0')) return value;
          break;
        case 'bool':
          if (typeof value === 'boolean') return value;
          break;
        case 'timestamp': {
          const microseconds = typeof value === 'string' ? parseTimestamp(value) : undefined;
          if (microseconds !== undefined) return canonical(microseconds);
          break;
        }
        case 'int64':
          if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
          break;
        case 'float32':
          if (typeof value === 'number') return Math.fround(value);
          break;
        case 'float64':
          if (typeof value === 'number') return value;
          break;
      }
      throw contradiction(feature, `${JSON.stringify(value)} is in its set of values, but is no ${feature.dtype}`);
    }),
  );
}

function contradiction(feature: Feature, message: string): AssayError {
  return new AssayError(
    'UNPROCESSABLE_MODEL',
    `feature ${JSON.stringify(feature.name)} contradicts itself: ${message}`,
  );
}

const NOUNS: Record<Feature['dtype'], string> = {
  float32: 'a finite number',
  float64: 'a finite number',
  int64: 'an integer',
  string: 'a string',
  bool: 'true or false',
  timestamp: TIMESTAMP_EXPECTED,
};

function describe(feature: Feature, min: number, max: number, graphType: ElementType): string {
  const { dtype, values, unit, nullable } = feature;
  let words = NOUNS[dtype];
  if (dtype === 'int64' && graphType !== 'int64') {
    const [lowest, highest] = integerBounds(graphType);
    words += ` from ${lowest} to ${highest}`;
  }
  if (values?.set === 'closed') {
    const some = values.values
      .slice(0, 10)
      .map((value) => JSON.stringify(value))
      .join(', ');
    words = `one of ${some}${values.values.length > 10 ? `, … (${values.values.length} values)` : ''}`;
  }
  if (min !== Number.NEGATIVE_INFINITY && max !== Number.POSITIVE_INFINITY) words += `, from ${min} to ${max}`;
  else if (min !== Number.NEGATIVE_INFINITY) words += `, at least ${min}`;
  else if (max !== Number.POSITIVE_INFINITY) words += `, at most ${max}`;
  if (unit !== undefined) words += ` (${unit})`;
  return nullable ? `${words}, or null` : words;
}

/** A value as a message shows it: short whatever it is, and never run through a serializer that it could upset. */
export function show(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.length > 40 ? `${JSON.stringify(value.slice(0, 40))}…` : JSON.stringify(value);
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? `an array of ${value.length}` : 'an object';
    case 'undefined':
      return 'nothing';
    case 'function':
    case 'symbol':
      return `a ${typeof value}`;
    default:
      return String(value);
  }
}
