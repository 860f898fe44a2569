/** Columns as typed arrays. */
import type { DuckDBDataChunk } from '@duckdb/node-api';
import { createTextReader, type TextColumn } from './text-column.ts';

/**
 * The values of one column in a chunk.
 * - `float64`, `float32`: NaN where there is none
 * - `int64` (also instants, in microseconds since 1970) and `bool`: 0 where `valid` is 0; no `valid`: all are there
 * - `codes`: the position in the column's dictionary, -1 where there is no value or it is not in there
 */
export type ColumnData =
  | { readonly kind: 'float64'; readonly values: Float64Array }
  | { readonly kind: 'float32'; readonly values: Float32Array }
  | { readonly kind: 'int64'; readonly values: BigInt64Array; readonly valid?: Uint8Array }
  | { readonly kind: 'bool'; readonly values: Uint8Array; readonly valid?: Uint8Array }
  | { readonly kind: 'string'; readonly values: readonly (string | null)[] }
  | { readonly kind: 'codes'; readonly values: Int32Array };

/** A column of features. */
export type FeatureColumn = ColumnData | TextColumn;

export interface TableChunk {
  readonly rows: number;
  /** In the order they were asked for. */
  readonly columns: readonly ColumnData[];
}

export type ColumnKind = ColumnData['kind'];

/** How a column of `kind` is written in the select list, so that the chunk holds no NULL but for strings and `valid`. */
export function selectionOf(kind: FeatureColumn['kind'], sql: string): string[] {
  switch (kind) {
    case 'float64':
      return [`coalesce(${sql}::DOUBLE, 'NaN'::DOUBLE)`];
    case 'float32':
      return [`coalesce(${sql}::FLOAT, 'NaN'::FLOAT)`];
    case 'int64':
      return [`coalesce(${sql}::BIGINT, 0::BIGINT)`, `(${sql} IS NOT NULL)::UTINYINT`];
    case 'bool':
      return [`coalesce(${sql}, false)::UTINYINT`, `(${sql} IS NOT NULL)::UTINYINT`];
    case 'codes':
      return [`coalesce(${sql}, -1)::INTEGER`];
    case 'string':
    case 'texts':
      return [sql];
  }
}

/** The columns of a chunk whose select list was made by `selectionOf`, copied out of DuckDB's memory. */
export function columnsOf(chunk: DuckDBDataChunk, kinds: readonly ColumnKind[]): ColumnData[] {
  return positionsOf(kinds).map((position, i) => columnAt(chunk, kinds[i] ?? 'string', position));
}

/** As `columnsOf`, for the chunks of one result: texts come as positions in a list. */
export function featureColumnsReader(
  kinds: readonly FeatureColumn['kind'][],
): (chunk: DuckDBDataChunk) => FeatureColumn[] {
  const positions = positionsOf(kinds);
  const readers = kinds.map((kind): ((chunk: DuckDBDataChunk, position: number) => FeatureColumn) => {
    if (kind !== 'texts') return (chunk, position) => columnAt(chunk, kind, position);
    const read = createTextReader();
    return (chunk, position) => read(chunk.getColumnVector(position), chunk.rowCount);
  });
  return (chunk) => readers.map((read, i) => read(chunk, positions[i] ?? 0));
}

/** Where each column begins in the select list: some have their validity beside them. */
function positionsOf(kinds: readonly FeatureColumn['kind'][]): number[] {
  let next = 0;
  return kinds.map((kind) => {
    const position = next;
    next += kind === 'int64' || kind === 'bool' ? 2 : 1;
    return position;
  });
}

function columnAt(chunk: DuckDBDataChunk, kind: ColumnKind, position: number): ColumnData {
  switch (kind) {
    case 'float64':
      return { kind, values: itemsOf(chunk, position, Float64Array).slice() };
    case 'float32':
      return { kind, values: itemsOf(chunk, position, Float32Array).slice() };
    case 'codes':
      return { kind, values: itemsOf(chunk, position, Int32Array).slice() };
    case 'int64':
      return { kind, values: itemsOf(chunk, position, BigInt64Array).slice(), ...validityOf(chunk, position + 1) };
    case 'bool':
      return { kind, values: itemsOf(chunk, position, Uint8Array).slice(), ...validityOf(chunk, position + 1) };
    case 'string': {
      const vector = chunk.getColumnVector(position);
      return { kind, values: Array.from({ length: chunk.rowCount }, (_, row) => textOf(vector.getItem(row))) };
    }
  }
}

function validityOf(chunk: DuckDBDataChunk, position: number): { valid?: Uint8Array } {
  const valid = itemsOf(chunk, position, Uint8Array);
  return valid.includes(0) ? { valid: valid.slice() } : {};
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function itemsOf<T>(chunk: DuckDBDataChunk, position: number, type: abstract new (...args: never) => T): T {
  return typedArrayOf(chunk.getColumnVector(position), type);
}

/**
 * The typed array over a vector's memory. DuckDB's types hide it behind `getItem`, which boxes each value; taking it
 * whole is what makes millions of rows cheap. What is there is checked, not assumed.
 */
export function typedArrayOf<T>(vector: unknown, type: abstract new (...args: never) => T): T {
  const items: unknown = typeof vector === 'object' && vector !== null && 'items' in vector ? vector.items : undefined;
  if (items instanceof type) return items;
  throw new TypeError(`a DuckDB vector is no ${type.name}: its column was not cast as it should be`);
}
