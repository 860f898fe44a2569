/**
 * From the columns of a file to the features of a signature: one SQL expression each, that never guesses. What a row has
 * and a feature cannot take is a *problem* of that row, told beside its values.
 */
import { AssayError, type Dtype, type ErrorDetail, nearest } from '@assay/contracts';
import { identifier, literal, reasonOf, type Sandbox } from './duckdb.ts';
import { checkExpressions, type SourceColumn } from './expressions.ts';
import type { DataFormat } from './source-files.ts';

export interface FeatureRequest {
  readonly name: string;
  readonly dtype: Dtype;
  /** `[]` is a scalar; a vector is given as JSON. */
  readonly shape: readonly number[];
  /** SQL over the columns. Default: the column of that name. */
  readonly expression?: string;
}

/** How a feature is got from a row. */
export interface BoundFeature {
  readonly request: FeatureRequest;
  /** `document`: from the JSON of the row itself, by whoever reads it. */
  readonly from: 'column' | 'expression' | 'document';
  /** Its value; NULL where there is none. `'NULL'` for a document's. */
  readonly sql: string;
  /** A type that DuckDB can be told. */
  readonly type: string;
  /** VARCHAR: what is there and cannot be taken, known beforehand; NULL where all is well. */
  readonly misfit?: string;
  /** VARCHAR: what the row has, to tell it where `sql` fails. */
  readonly raw?: string;
}

/** Names of the text columns that typed ones are made from; users' columns do not begin like this. */
export const rawName = (index: number): string => `__assay_raw_${index}`;
export const DOCUMENT = '__assay_document';

export interface BindSource {
  readonly format: DataFormat;
  /** Their types: of Parquet as they are; of text as its first rows and the user tell. */
  readonly columns: readonly SourceColumn[];
}

/**
 * Binds the features to the columns of a table `shape`, which has them under their names.
 * @throws AssayError INVALID_ARGUMENT with each place: a missing column, a type that does not fit, wrong SQL
 */
export async function bindFeatures(
  session: Sandbox,
  source: BindSource,
  requests: readonly FeatureRequest[],
  signal: AbortSignal,
): Promise<BoundFeature[]> {
  const details: ErrorDetail[] = [];
  const bound: BoundFeature[] = [];
  for (const request of requests) {
    try {
      bound.push(await bindFeature(session, source, request, signal));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AssayError)) throw error;
      details.push(...error.details);
    }
  }
  const [first] = details;
  if (first === undefined) return bound;
  const expected = first.expected === undefined ? '' : ` (expected ${first.expected})`;
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}${expected}${more}`, { details });
}

async function bindFeature(
  session: Sandbox,
  source: BindSource,
  request: FeatureRequest,
  signal: AbortSignal,
): Promise<BoundFeature> {
  const { name, dtype, expression } = request;
  const isVector = request.shape.length > 0;
  const place = expression === undefined ? `feature ${JSON.stringify(name)}` : `input.select.${name}`;
  if (expression === undefined) {
    if (source.format === 'ndjson') return { request, from: 'document', sql: 'NULL', type: 'VARCHAR' };
    const index = source.columns.findIndex((column) => column.name === name);
    if (index === -1) throw missingColumn(place, name, source.columns);
    if (source.format === 'csv') {
      if (isVector) {
        throw wrong(place, 'a text column is no vector', `a list: input.select: {${name}: '[a, b, c]'}`);
      }
      return fromText(request, rawName(index));
    }
  }
  const raw = expression === undefined ? `CAST(${identifier(name)} AS VARCHAR)` : undefined;
  const misfit = expression === undefined ? undefined : misfitOf(expression, source);
  const shared = {
    request,
    from: expression === undefined ? ('column' as const) : ('expression' as const),
    ...(raw === undefined ? {} : { raw }),
    ...(misfit === undefined ? {} : { misfit }),
  };
  if (isVector) {
    const sql = expression === undefined ? identifier(name) : `(${expression}\n)`;
    const type = await typeOf(session, sql, place, signal);
    if (!/\[\d*\]$/.test(type)) throw wrong(place, `gives ${type}`, `a list of ${dtype}`);
    return { ...shared, sql: `to_json(${sql})::VARCHAR`, type: 'VARCHAR' };
  }
  const [checked] = await checkExpressions(
    session,
    source.columns,
    [{ name, dtype, place, ...(expression === undefined ? {} : { expression }) }],
    undefined,
    signal,
  );
  if (checked === undefined) throw new AssayError('INTERNAL', `${place} was neither bound nor refused`);
  if (expression !== undefined) await requireRepeatable(session, checked.sql, place, signal);
  return { ...shared, sql: checked.sql, type: typeOfDtype(dtype) };
}

/** A resumed job must find what it found before: no random numbers, no clock. */
async function requireRepeatable(session: Sandbox, sql: string, place: string, signal: AbortSignal): Promise<void> {
  try {
    await session.rows(`SELECT TRY({'v': ${sql}}) FROM shape LIMIT 0`, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw wrong(place, reasonOf(error), 'SQL that gives the same for the same row, without subqueries');
  }
}

async function typeOf(session: Sandbox, sql: string, place: string, signal: AbortSignal): Promise<string> {
  try {
    const rows = await session.rows(`SELECT column_type FROM (DESCRIBE SELECT ${sql} FROM shape)`, signal);
    return String(rows[0]?.[0]);
  } catch (error) {
    signal.throwIfAborted();
    throw wrong(place, reasonOf(error), 'SQL over the columns of the file');
  }
}

/** The value of a text column, as the dtype takes it; text that is none is a misfit. */
function fromText(request: FeatureRequest, raw: string): BoundFeature {
  const sql = textToDtype(raw, request.dtype);
  const misfit =
    request.dtype === 'string' ? undefined : `CASE WHEN ${raw} IS NOT NULL AND ${sql} IS NULL THEN 'r' || ${raw} END`;
  const type = typeOfDtype(request.dtype);
  return { request, from: 'column', sql, type, raw, ...(misfit === undefined ? {} : { misfit }) };
}

function textToDtype(text: string, dtype: Dtype): string {
  switch (dtype) {
    case 'float64':
      return `TRY_CAST(${text} AS DOUBLE)`;
    case 'float32':
      // By way of the double, as a number in JSON gets there.
      return `TRY_CAST(TRY_CAST(${text} AS DOUBLE) AS FLOAT)`;
    case 'int64':
      // The cast alone would round 1.5 to 2.
      return `CASE WHEN regexp_matches(${text}, '[.eE]') AND TRY_CAST(${text} AS DECIMAL(38, 10)) IS DISTINCT FROM TRY_CAST(${text} AS BIGINT) THEN NULL ELSE TRY_CAST(${text} AS BIGINT) END`;
    case 'bool':
      return `TRY_CAST(${text} AS BOOLEAN)`;
    case 'timestamp':
      return `CASE WHEN isfinite(TRY_CAST(${text} AS TIMESTAMPTZ)) THEN epoch_us(TRY_CAST(${text} AS TIMESTAMPTZ)) END`;
    case 'string':
      return text;
  }
}

function typeOfDtype(dtype: Dtype): string {
  switch (dtype) {
    case 'float32':
      return 'FLOAT';
    case 'float64':
      return 'DOUBLE';
    case 'int64':
    case 'timestamp':
      return 'BIGINT';
    case 'bool':
      return 'BOOLEAN';
    case 'string':
      return 'VARCHAR';
  }
}

/** Text that is not of the type of its column, in a column that the expression names. */
function misfitOf(expression: string, { format, columns }: BindSource): string | undefined {
  if (format === 'parquet') return undefined;
  const lower = expression.toLowerCase();
  const cases = columns.flatMap(({ name, type }, i) => {
    if (type === 'VARCHAR' || type === 'JSON' || !lower.includes(name.toLowerCase())) return [];
    const raw = rawName(i);
    const told = `'sthe column ' || ${literal(JSON.stringify(name))} || ': ' || ${raw} || ${literal(` is no ${type}`)}`;
    return [`WHEN ${raw} IS NOT NULL AND ${identifier(name)} IS NULL THEN ${told}`];
  });
  return cases.length === 0 ? undefined : `CASE ${cases.join(' ')} END`;
}

export function missingColumn(place: string, name: string, columns: readonly SourceColumn[]): AssayError {
  const names = columns.map((column) => column.name);
  const suggestion = nearest(name, names);
  const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
  return wrong(place, `the data has no column "${name}"${hint}`, `one of ${names.slice(0, 50).join(', ')}`);
}

function wrong(place: string, message: string, expected: string): AssayError {
  return new AssayError('INVALID_ARGUMENT', `${place}: ${message} (expected ${expected})`, {
    details: [{ place, message, expected }],
  });
}
