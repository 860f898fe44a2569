/** The SQL by which rows get into their table: as their values stand, and again with each row judged by itself. */
import { identifier, literal } from './duckdb.ts';
import type { SourceColumn } from './expressions.ts';
import { type BoundFeature, DOCUMENT, rawName } from './feature-sql.ts';
import { MAX_ROW_BYTES } from './text-rows.ts';

/** What is read of each row. */
export interface RowRequest {
  readonly features: readonly BoundFeature[];
  /** SQL of the columns to keep. */
  readonly copies: readonly string[];
  /** Rows are documents: their text is kept too. */
  readonly hasDocuments: boolean;
}

/** Features as `f0`, …, what is wrong as `problem`, the text of a document, kept columns as `x0`, …. */
export function strictSelection(request: RowRequest, source: string): string {
  const { features } = request;
  const misfits = features.map(({ misfit }) => misfit ?? 'NULL');
  const isSuspect = features.flatMap(({ misfit }) => (misfit === undefined ? [] : [`${misfit} IS NOT NULL`]));
  const problem = isSuspect.length === 0 ? 'NULL::VARCHAR' : problemSql(isSuspect, misfits);
  const values = features.map(({ sql, type }, i) => `CAST(${sql} AS ${type}) AS f${i}`);
  return `SELECT ${[...values, `${problem} AS problem`, ...carried(request)].join(', ')} FROM ${source}`;
}

/** The same, where SQL fails on some value: that is then a problem of its row. */
export function carefulSelection(request: RowRequest, source: string): string {
  const { features, copies, hasDocuments } = request;
  const tried = features.map(({ sql }, i) => `TRY({'v': ${sql}}) AS t${i}`);
  const told = features.map(({ sql, misfit, raw }, i) => {
    const failed = raw === undefined ? `'sits SQL fails on this row'` : `'r' || ${raw}`;
    return `coalesce(${misfit ?? 'NULL::VARCHAR'}, CASE WHEN TRY({'v': ${sql}}) IS NULL THEN ${failed} END) AS m${i}`;
  });
  const inner = `SELECT ${[...tried, ...told, ...carried(request, (sql) => `TRY(${sql})`)].join(', ')} FROM ${source}`;
  const values = features.map(({ type }, i) => `CAST(t${i}.v AS ${type}) AS f${i}`);
  const marks = features.map((_, i) => `m${i}`);
  const isSuspect = marks.map((mark) => `${mark} IS NOT NULL`);
  const problem = marks.length === 0 ? 'NULL::VARCHAR' : problemSql(isSuspect, marks);
  const kept = [...(hasDocuments ? ['document'] : []), ...copies.map((_, i) => `x${i}`)];
  return `SELECT ${[...values, `${problem} AS problem`, ...kept].join(', ')} FROM (${inner})`;
}

function carried({ copies, hasDocuments }: RowRequest, wrap: (sql: string) => string = (sql) => sql): string[] {
  return [...(hasDocuments ? [`${DOCUMENT} AS document`] : []), ...copies.map((sql, i) => `${wrap(sql)} AS x${i}`)];
}

function problemSql(isSuspect: readonly string[], misfits: readonly string[]): string {
  return `CASE WHEN ${isSuspect.join(' OR ')} THEN to_json([${misfits.join(', ')}])::VARCHAR END`;
}

/** Rows of a Parquet file, by their numbers from 0 on. */
export function parquetRows(path: string, from: number, to: number): string {
  const numbered = `read_parquet(${literal(path)}, file_row_number=true)`;
  return `${numbered} WHERE file_row_number >= ${from} AND file_row_number < ${to}`;
}

export interface TextRequest {
  readonly format: 'csv' | 'ndjson';
  readonly columns: readonly SourceColumn[];
  /** SQL of the user reads columns under their names, with types. */
  readonly needsTypes: boolean;
  /** Columns are kept. */
  readonly hasCopies: boolean;
}

/** The rows of a slice: each text column under its raw name, and typed under its own where SQL of the user reads it. */
export function textRows(slice: string, { format, columns, needsTypes, hasCopies }: TextRequest): string {
  const shared = `header=false, auto_detect=false, comment='', new_line='\\n', strict_mode=true, max_line_size=${2 * MAX_ROW_BYTES}`;
  const typed = ({ name, type }: SourceColumn, from: string): string[] =>
    needsTypes ? [`TRY_CAST(${from} AS ${type}) AS ${identifier(name)}`] : [];
  if (format === 'csv') {
    const texts = columns.map((_, i) => `'${rawName(i)}': 'VARCHAR'`).join(', ');
    const selection = ['*', ...columns.flatMap((column, i) => typed(column, rawName(i)))].join(', ');
    return `(SELECT ${selection} FROM read_csv(${literal(slice)}, delim=',', quote='"', escape='"', null_padding=false, columns={${texts}}, ${shared}))`;
  }
  const document = `read_csv(${literal(slice)}, delim='\x01', quote='', escape='', columns={'${DOCUMENT}': 'VARCHAR'}, ${shared})`;
  const values =
    needsTypes || hasCopies
      ? columns.flatMap((column, i) => {
          const pointer = literal(`/${column.name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
          return [`${DOCUMENT}->>${pointer} AS ${rawName(i)}`, ...typed(column, `(${DOCUMENT}->${pointer})`)];
        })
      : [];
  return `(SELECT ${[DOCUMENT, ...values].join(', ')} FROM ${document})`;
}
