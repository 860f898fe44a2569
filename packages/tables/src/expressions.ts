/** The SQL of a spec: bound one by one before anything is read, and blamed one by one when a value breaks one. */
import { AssayError, type Dtype, type ErrorDetail, nearest } from '@assay/contracts';
import { convert, remedyFor } from './conversion.ts';
import { DataError } from './data-error.ts';
import { identifier, reasonOf, type Sandbox } from './duckdb.ts';

export interface SourceColumn {
  readonly name: string;
  /** DuckDB's name of the type: `BIGINT`, `VARCHAR`, `TIMESTAMP`. */
  readonly type: string;
}

/** A column to make: SQL over the source's columns, of one row at a time (no aggregates, no windows). */
export interface ColumnRequest {
  readonly name: string;
  readonly dtype: Dtype;
  /** Default: the source column `column`. */
  readonly expression?: string;
  /** Default: the column of the request's name. */
  readonly column?: string;
  /** Texts that mean that there is no value, besides the empty one. */
  readonly missingTexts?: readonly string[];
  /** What the request is called in an error: `features[2].expression`. */
  readonly place: string;
}

/** The rows to keep. */
export interface Condition {
  readonly expression: string;
  readonly place: string;
}

export interface CheckedColumn {
  readonly request: ColumnRequest;
  readonly sql: string;
}

/** Binds every expression by itself, so that each wrong one is reported at its own place, all at once. */
export async function checkExpressions(
  sandbox: Sandbox,
  source: readonly SourceColumn[],
  requests: readonly ColumnRequest[],
  where: Condition | undefined,
  signal: AbortSignal,
): Promise<CheckedColumn[]> {
  const details: ErrorDetail[] = [];
  const checked: CheckedColumn[] = [];
  const typeOf = async (expression: string, place: string): Promise<string | undefined> => {
    try {
      // In WHERE, DuckDB itself refuses aggregates and windows: they would mix rows.
      await sandbox.rows(`SELECT 1 FROM shape WHERE (${expression}\n) IS NULL LIMIT 0`, signal);
      const described = await sandbox.rows(
        `SELECT column_type FROM (DESCRIBE SELECT (${expression}\n) FROM shape)`,
        signal,
      );
      return String(described[0]?.[0]);
    } catch (error) {
      signal.throwIfAborted();
      details.push({
        place,
        message: reasonOf(error),
        expected: `SQL over ${source.map((column) => column.name).join(', ')}`,
      });
      return undefined;
    }
  };
  for (const request of requests) {
    const { dtype, place, missingTexts } = request;
    const name = request.column ?? request.name;
    if (request.expression === undefined && !source.some((column) => column.name === name)) {
      const suggestion = nearest(
        name,
        source.map((column) => column.name),
      );
      const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
      details.push({
        place,
        message: `the data has no column "${name}"${hint}`,
        expected: 'a column, or an expression',
      });
      continue;
    }
    const expression = request.expression ?? identifier(name);
    const type = await typeOf(expression, place);
    if (type === undefined) continue;
    const conversion = convert(`(${expression}\n)`, type, dtype, missingTexts);
    if (conversion === undefined) {
      details.push({ place, message: `gives ${type}, which is no ${dtype}`, expected: remedyFor(dtype) });
    } else checked.push({ request, sql: conversion.sql });
  }
  if (where !== undefined) {
    const type = await typeOf(where.expression, where.place);
    if (type !== undefined && type !== 'BOOLEAN') {
      details.push({ place: where.place, message: `gives ${type}`, expected: 'true or false' });
    }
  }
  const [first] = details;
  if (first !== undefined) {
    const expected = first.expected === undefined ? '' : ` (expected ${first.expected})`;
    throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}${expected}`, { details });
  }
  return checked;
}

/** Which column a failed read is due to: the one that fails by itself; undefined when none does, or all do. */
export async function blame(
  sandbox: Sandbox,
  columns: readonly CheckedColumn[],
  where: Condition | undefined,
  signal: AbortSignal,
): Promise<DataError | undefined> {
  const condition = where === undefined ? '' : ` WHERE (${where.expression}\n)`;
  const failures: { place: string; message: string }[] = [];
  const attempt = async (place: string, sql: string) => {
    try {
      await sandbox.rows(sql, signal);
    } catch (error) {
      signal.throwIfAborted();
      failures.push({ place, message: reasonOf(error) });
    }
  };
  await attempt('', 'SELECT count(COLUMNS(*)) FROM source');
  if (failures.length > 0) return undefined; // the files themselves do not read
  if (where !== undefined) await attempt(where.place, `SELECT count(*) FROM source${condition}`);
  if (failures.length === 0) {
    for (const { request, sql } of columns)
      await attempt(request.place, `SELECT count(${sql}) FROM source${condition}`);
  }
  const [first] = failures;
  return first === undefined ? undefined : new DataError(`${first.place}: ${first.message}`, { details: failures });
}
