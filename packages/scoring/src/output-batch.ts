/** What the graph gave, typed by the signature. */
import { AssayError, elementCount, type Output, type Signature } from '@assay/contracts';
import { exactInteger, MINUS_ZERO } from '@assay/model-package';
import type { OutputBatch, OutputData, OutputTensor } from './interfaces.ts';
import type { ElementType, Results, TensorInfo } from './session.ts';
import { formatTimestamp } from './timestamp.ts';

/** The element types that an output of a dtype may have in a graph. */
const GRAPH_TYPES: Record<Output['dtype'], readonly ElementType[]> = {
  float32: ['float32'],
  float64: ['float64'],
  int64: ['int64', 'int32', 'int16', 'int8', 'uint64', 'uint32', 'uint16', 'uint8'],
  timestamp: ['int64'],
  bool: ['bool'],
  string: ['string'],
};

/** An output of the signature and how it is read from a run. */
interface OutputColumn {
  readonly output: Output;
  /** Elements a row. */
  readonly width: number;
  /** Dimensions after the rows, as the graph gives them. */
  readonly tail: readonly number[];
}

export interface OutputLayout {
  readonly names: readonly string[];
  readonly columns: readonly OutputColumn[];
}

/**
 * How the outputs of a signature are read from a graph with these.
 * @throws AssayError UNPROCESSABLE_MODEL when the two do not fit
 */
export function outputLayoutOf(signature: Signature, outputs: readonly TensorInfo[]): OutputLayout {
  const byName = new Map(outputs.map((info) => [info.name, info]));
  const columns = signature.outputs.map((output): OutputColumn => {
    if (output.name === '__proto__') throw misfit('"__proto__" cannot be the name of an output');
    const info = byName.get(output.name);
    const what = `output ${JSON.stringify(output.name)}`;
    if (info === undefined) {
      throw misfit(`the graph has no ${what}; it has ${outputs.map(({ name }) => JSON.stringify(name)).join(', ')}`);
    }
    if (!GRAPH_TYPES[output.dtype].includes(info.type)) {
      throw misfit(`${what} is ${output.dtype}, the graph gives ${info.type}`);
    }
    // A scalar is [rows] or [rows, 1] in the graph; symbols are taken for what the signature says, and checked at each run.
    const scalarTail = info.dims.length >= 2 ? info.dims.slice(1).map(() => 1) : [];
    const tail = output.shape.length === 0 ? scalarTail : output.shape;
    const stated = info.dims.slice(1);
    if (
      info.dims.length > 0 &&
      (stated.length !== tail.length || stated.some((size, i) => typeof size === 'number' && size !== tail[i]))
    ) {
      throw misfit(
        `${what} has shape [${output.shape.join(', ')}] a record, the graph gives [${info.dims.join(', ')}]`,
      );
    }
    return { output, width: elementCount(output.shape), tail };
  });
  return { names: columns.map(({ output }) => output.name), columns };
}

function misfit(message: string): AssayError {
  return new AssayError('UNPROCESSABLE_MODEL', message);
}

/** Some rows of the results of one run. */
export interface OutputPiece {
  readonly results: Results;
  /** Rows that the graph was given, padding included. */
  readonly ranRows: number;
  /** Rows that count: the first ones. */
  readonly rows: number;
}

/**
 * The outputs of the pieces one after another.
 * @throws AssayError INTERNAL when the graph gave other rows than it was given
 */
export function gatherOutputs(layout: OutputLayout, pieces: readonly OutputPiece[]): OutputBatch {
  const rows = pieces.reduce((sum, piece) => sum + piece.rows, 0);
  const outputs = layout.columns.map((column): OutputTensor => {
    const { output, tail } = column;
    const parts = pieces.map((piece) => dataOf(column, piece));
    const [only, ...others] = parts;
    const data = only !== undefined && others.length === 0 ? only : concatenate(output, parts);
    return { name: output.name, dtype: output.dtype, shape: [rows, ...tail], data };
  });
  return new GraphOutputBatch(layout, rows, outputs);
}

function dataOf({ output, width }: OutputColumn, { results, ranRows, rows }: OutputPiece): OutputData {
  const tensor = results[output.name];
  const raw = tensor?.data;
  if (tensor === undefined || raw === undefined || raw.length !== ranRows * width) {
    const found = tensor === undefined ? 'nothing' : `[${tensor.dims.join(', ')}]`;
    throw new AssayError(
      'UNPROCESSABLE_MODEL',
      `the graph gave ${found} for output ${JSON.stringify(output.name)} of ${ranRows} rows with ${width} elements each: it does not give one value a row`,
    );
  }
  const end = rows * width;
  if (Array.isArray(raw)) return ranRows === rows ? (raw as string[]) : (raw as string[]).slice(0, end); // only strings come as an array
  if (output.dtype === 'int64' && !(raw instanceof BigInt64Array)) {
    const integers = new BigInt64Array(end);
    for (let i = 0; i < end; i++) integers[i] = BigInt(raw[i] ?? 0);
    return integers;
  }
  const typed = raw as Exclude<OutputData, readonly string[]>; // outputLayoutOf left these element types
  return ranRows === rows ? typed : typed.slice(0, end);
}

function concatenate(output: Output, parts: readonly OutputData[]): OutputData {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (output.dtype === 'string') return (parts as readonly (readonly string[])[]).flat(); // by dtype
  const joined = emptyData(output, length);
  let at = 0;
  for (const part of parts) {
    joined.set(part as never, at); // all parts have the type of the dtype
    at += part.length;
  }
  return joined;
}

function emptyData(output: Output, length: number): Float32Array | Float64Array | BigInt64Array | Uint8Array {
  switch (output.dtype) {
    case 'float32':
      return new Float32Array(length);
    case 'float64':
      return new Float64Array(length);
    case 'bool':
      return new Uint8Array(length);
    default:
      return new BigInt64Array(length);
  }
}

/** Some rows of an output batch. */
export interface OutputRows {
  readonly outputs: OutputBatch;
  readonly from: number;
  readonly rows: number;
}

/** Rows of several batches of one scorer, one after another. */
export function joinOutputs(parts: readonly OutputRows[]): OutputBatch {
  const layout = parts.map(({ outputs }) => (outputs instanceof GraphOutputBatch ? outputs.layout : undefined)).at(0);
  if (layout === undefined) throw new AssayError('INTERNAL', 'outputs that no scorer made were to be joined');
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const joined = layout.columns.map(({ output, tail }): OutputTensor => {
    const pieces = parts.map((part) => part.outputs.tensor(output.name, part.from, part.rows).data);
    return { name: output.name, dtype: output.dtype, shape: [rows, ...tail], data: concatenate(output, pieces) };
  });
  return new GraphOutputBatch(layout, rows, joined);
}

/** One row in memory of its own: it keeps nothing of its run. */
export function copyOutputRow(batch: OutputBatch, row: number): OutputBatch {
  if (!(batch instanceof GraphOutputBatch)) {
    throw new AssayError('INTERNAL', 'a row was to be copied from outputs that no scorer made');
  }
  const outputs = batch.outputs.map((tensor, i): OutputTensor => {
    const { width, tail } = batch.layout.columns[i] ?? { width: 0, tail: [] };
    const { name, dtype, data } = tensor;
    return { name, dtype, shape: [1, ...tail], data: data.slice(row * width, (row + 1) * width) };
  });
  return new GraphOutputBatch(batch.layout, 1, outputs);
}

/** What the data of outputs holds in memory, about. */
export function outputBytes({ outputs }: OutputBatch): number {
  let sizeBytes = 0;
  for (const { data } of outputs) {
    if (isTexts(data)) for (const text of data) sizeBytes += 24 + 2 * text.length;
    else sizeBytes += data.byteLength;
  }
  return sizeBytes;
}

function isTexts(data: OutputData): data is readonly string[] {
  return Array.isArray(data);
}

class GraphOutputBatch implements OutputBatch {
  readonly rows: number;
  readonly outputs: readonly OutputTensor[];
  readonly layout: OutputLayout;

  constructor(layout: OutputLayout, rows: number, outputs: readonly OutputTensor[]) {
    this.rows = rows;
    this.outputs = outputs;
    this.layout = layout;
  }

  record(row: number): Record<string, unknown> {
    if (!Number.isInteger(row) || row < 0 || row >= this.rows) {
      throw new AssayError('INTERNAL', `row ${row} of ${this.rows} was asked for`);
    }
    const record: Record<string, unknown> = {};
    for (let i = 0; i < this.outputs.length; i++) {
      const tensor = this.outputs[i];
      const column = this.layout.columns[i];
      if (tensor === undefined || column === undefined) continue;
      record[tensor.name] = jsonValue(tensor, column, row);
    }
    return record;
  }

  tensor(name: string, fromRow = 0, rows: number = this.rows - fromRow): OutputTensor {
    const i = this.outputs.findIndex((output) => output.name === name);
    const tensor = this.outputs[i];
    const column = this.layout.columns[i];
    if (tensor === undefined || column === undefined) {
      throw new AssayError('NOT_FOUND', `the version has no output ${JSON.stringify(name)}`);
    }
    if (fromRow === 0 && rows === this.rows) return tensor;
    const data = tensor.data.slice(fromRow * column.width, (fromRow + rows) * column.width);
    return { ...tensor, shape: [rows, ...column.tail], data };
  }
}

function jsonValue({ dtype, data }: OutputTensor, { output, width }: OutputColumn, row: number): unknown {
  const at = row * width;
  if (output.shape.length === 0) return jsonElement(dtype, data[at]);
  if (output.shape.length === 1) {
    const values: unknown[] = new Array(width);
    for (let i = 0; i < width; i++) values[i] = jsonElement(dtype, data[at + i]);
    return values;
  }
  let next = at;
  const nest = (depth: number): unknown => {
    const size = output.shape[depth];
    return size === undefined ? jsonElement(dtype, data[next++]) : Array.from({ length: size }, () => nest(depth + 1));
  };
  return nest(0);
}

/** JSON has no NaN and no Infinity, and RFC 3339 no year 10,000: they are null. */
function jsonElement(dtype: Output['dtype'], value: OutputData[number] | undefined): unknown {
  switch (typeof value) {
    case 'number':
      if (dtype === 'bool') return value === 1;
      if (Object.is(value, -0)) return MINUS_ZERO;
      return Number.isFinite(value) ? value : null;
    case 'bigint':
      return dtype === 'timestamp' ? (formatTimestamp(value) ?? null) : exactInteger(value);
    default:
      return value;
  }
}
