/** Tensors into rows: one column a feature, judged element by element by the same rules as records. */
import { AssayError, type ErrorDetail, elementCount } from '@assay/contracts';
import { type EncodedColumn, type Encoder, expectedOf, isMissing, nearestName } from './encoder.ts';
import type { DictionaryData, InputTensor, TensorData } from './interfaces.ts';
import { type Layout, storeElement } from './layout.ts';
import type { ElementArray } from './session.ts';
import { isRefused, type Refused, type Stored, show } from './values.ts';

const MAX_DETAILS = 20;

/** The arrays of typed data that each dtype may come in; a plain array is judged element by element. */
const DATA_TYPES: Record<InputTensor['dtype'], readonly (abstract new (...a: never[]) => ArrayLike<unknown>)[]> = {
  float32: [Float32Array],
  float64: [Float64Array],
  int64: [BigInt64Array, Int8Array, Int16Array, Int32Array, Uint8Array, Uint16Array, Uint32Array, BigUint64Array],
  timestamp: [BigInt64Array],
  bool: [Uint8Array],
  string: [],
};

interface Matched {
  readonly column: EncodedColumn;
  readonly data: TensorData;
  readonly place: string;
}

/** What a set of tensors says, before its elements are looked at. */
export interface TensorRows {
  readonly rows: number;
  /** Stores all rows from row `at` on. @throws AssayError INVALID_ARGUMENT with each bad place */
  store(arrays: readonly ElementArray[], at: number): void;
}

/**
 * Checks names, dtypes, shapes and lengths.
 * @throws AssayError INVALID_ARGUMENT with each bad place: `inputs[0].shape`
 */
export function readTensors(encoder: Encoder, inputs: readonly InputTensor[]): TensorRows {
  const details: ErrorDetail[] = [];
  const matched = new Map<string, Matched>();
  let rows: number | undefined;
  if (inputs.length > encoder.columns.length + MAX_DETAILS) {
    throw failure([
      { place: 'inputs', message: `has ${inputs.length} tensors for ${encoder.columns.length} features` },
    ]);
  }
  inputs.forEach((input, i) => {
    const place = `inputs[${i}]`;
    const column = encoder.columnByName.get(input.name);
    if (column === undefined) {
      const similar = details.length < 3 ? nearestName(input.name, encoder.columnByName) : undefined;
      const hint = similar === undefined ? '' : `; did you mean ${JSON.stringify(similar)}?`;
      details.push({ place: `${place}.name`, message: `unknown feature ${show(input.name)}${hint}` });
      return;
    }
    if (matched.has(input.name)) {
      details.push({ place: `${place}.name`, message: `feature ${show(input.name)} is given twice` });
      return;
    }
    const problem = shapeProblem(column, input, place, rows);
    if (problem !== undefined) {
      details.push(problem);
      return;
    }
    rows ??= input.shape[0];
    matched.set(input.name, { column, data: input.data, place });
  });
  for (const { feature, rule } of encoder.columns) {
    if (details.length >= MAX_DETAILS) break;
    if (!matched.has(feature.name) && rule.missing === undefined && !inputs.some(({ name }) => name === feature.name)) {
      details.push({ place: 'inputs', message: `feature ${show(feature.name)} is required`, expected: feature.dtype });
    }
  }
  if (details.length === 0 && rows === undefined) {
    details.push({ place: 'inputs', message: 'holds no tensor', expected: 'one tensor a feature' });
  }
  if (details.length > 0 || rows === undefined) throw failure(details);
  const count = rows;
  return { rows: count, store: (arrays, at) => storeColumns(encoder, matched, count, arrays, at) };
}

/** What is wrong with the dtype, shape or length of a tensor. Nothing is multiplied before it is bounded. */
function shapeProblem(
  column: EncodedColumn,
  { dtype, shape, data }: InputTensor,
  place: string,
  rows: number | undefined,
): ErrorDetail | undefined {
  const { feature } = column;
  if (dtype !== feature.dtype && !(dtype === 'int64' && feature.dtype === 'timestamp')) {
    return { place: `${place}.datatype`, message: `is ${show(dtype)}`, expected: feature.dtype };
  }
  const tail = feature.shape;
  const expected = tail.length === 0 ? '[rows] or [rows, 1]' : `[rows, ${tail.join(', ')}]`;
  const isScalarColumn = tail.length === 0 && shape.length === 2 && shape[1] === 1;
  const hasTail = shape.length === tail.length + 1 && tail.every((size, i) => shape[i + 1] === size);
  const [count] = shape;
  if (!isScalarColumn && !hasTail) return { place: `${place}.shape`, message: `is [${shownShape(shape)}]`, expected };
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1) {
    return { place: `${place}.shape`, message: `has ${show(count)} rows`, expected: 'at least one row' };
  }
  if (rows !== undefined && count !== rows) {
    return {
      place: `${place}.shape`,
      message: `has ${count} rows, the tensors before it ${rows}`,
      expected: `${rows} rows`,
    };
  }
  const length = data.length;
  if (length % elementCount(tail) !== 0 || length / elementCount(tail) !== count) {
    return {
      place: `${place}.data`,
      message: `has ${length} elements`,
      expected: `as many as the shape [${shownShape(shape)}] says`,
    };
  }
  if (isDictionary(data)) return undefined;
  if (!Array.isArray(data) && !DATA_TYPES[dtype].some((type) => data instanceof type)) {
    return { place: `${place}.data`, message: `is a ${data.constructor.name}`, expected: dtype };
  }
  return undefined;
}

function shownShape(shape: readonly unknown[]): string {
  return shape.slice(0, 8).map(String).join(', ') + (shape.length > 8 ? ', …' : '');
}

function storeColumns(
  encoder: Encoder,
  matched: ReadonlyMap<string, Matched>,
  rows: number,
  arrays: readonly ElementArray[],
  at: number,
): void {
  const details: ErrorDetail[] = [];
  for (const column of encoder.columns) {
    const array = arrays[column.slot];
    if (array === undefined) continue;
    const given = matched.get(column.feature.name);
    if (given === undefined) storeMissing(encoder.layout, column, rows, array, at);
    else storeColumn(encoder.layout, given, rows, array, at, details);
    if (details.length >= MAX_DETAILS) break;
  }
  if (details.length > 0) throw failure(details);
}

function storeMissing(layout: Layout, column: EncodedColumn, rows: number, array: ElementArray, at: number): void {
  const { missing } = column.rule;
  if (missing === undefined) return; // readTensors asked for it
  const stride = layout.slots[column.slot]?.width ?? 0;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < column.width; i++) storeElement(array, (at + row) * stride + column.at + i, missing);
  }
}

function storeColumn(
  layout: Layout,
  { column, data, place }: Matched,
  rows: number,
  array: ElementArray,
  at: number,
  details: ErrorDetail[],
): void {
  const { rule, width } = column;
  const stride = layout.slots[column.slot]?.width ?? 0;
  const judge = (value: unknown): Stored | Refused =>
    isMissing(value) && rule.missing !== undefined ? rule.missing : rule.fromTensor(value);
  const judgedAt = isDictionary(data) ? judgedOnce(data, judge) : (index: number) => judge(data[index]);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < width; i++) {
      const index = row * width + i;
      const stored = judgedAt(index);
      if (isRefused(stored)) {
        details.push({ place: `${place}.data[${index}]`, message: stored.message, expected: expectedOf(column) });
        if (details.length >= MAX_DETAILS) return;
      } else {
        storeElement(array, (at + row) * stride + column.at + i, stored);
      }
    }
  }
}

function isDictionary(data: TensorData): data is DictionaryData {
  if (Array.isArray(data) || ArrayBuffer.isView(data)) return false;
  return typeof data === 'object' && data !== null && 'codes' in data && data.codes instanceof Int32Array;
}

/** Each text is judged when it is first met: those that no row has say nothing. */
function judgedOnce(
  { codes, dictionary }: DictionaryData,
  judge: (value: unknown) => Stored | Refused,
): (index: number) => Stored | Refused {
  const judged: (Stored | Refused | undefined)[] = new Array(dictionary.length).fill(undefined);
  return (index) => {
    const code = codes[index] ?? -1;
    if (code < 0) return judge(null);
    const known = judged[code];
    if (known !== undefined) return known;
    const stored = judge(dictionary[code]);
    judged[code] = stored;
    return stored;
  };
}

/** INVALID_ARGUMENT with its first place in the message. */
export function failure(details: readonly ErrorDetail[]): AssayError {
  const [first] = details;
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  return new AssayError(
    'INVALID_ARGUMENT',
    first === undefined ? 'the input is not valid' : `${first.place}: ${first.message}${more}`,
    {
      details,
    },
  );
}
