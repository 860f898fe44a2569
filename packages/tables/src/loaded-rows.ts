/** Rows in a table of their own: streamed as features, and written with what came of them. */

import { AssayError, type Dtype } from '@assay/contracts';
import type { DuckDBConnection, DuckDBType } from '@duckdb/node-api';
import { type FeatureColumn, featureColumnsReader, selectionOf } from './columns.ts';
import { identifier, literal, type Sandbox } from './duckdb.ts';
import type { BoundFeature } from './feature-sql.ts';
import type { RowEngine } from './row-engine.ts';
import type { RowPosition } from './row-source.ts';
import type { BrokenRow, RowRun } from './text-rows.ts';

/** Some rows, one column a feature in the order they were bound. */
export interface FeatureChunk {
  readonly rows: number;
  /** A vector comes as its JSON, a feature of a document as null. */
  readonly columns: readonly FeatureColumn[];
  /** NDJSON: the rows as they stand. */
  readonly documents?: readonly string[];
  /**
   * Where a row has a value that its feature cannot take: for each feature null, `r` and the text that is there, or `s` and
   * what is wrong. Absent when no row of the chunk has any.
   */
  readonly problems?: readonly ((string | null)[] | undefined)[];
}

/** A column of results. `values` has one for each row. */
export interface ResultColumn {
  readonly name: string;
  readonly dtype: Dtype;
}
export type ResultValues = Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array | readonly string[];

/** Which rows of the files these are, in order. */
export interface LoadedSegment {
  readonly file: number;
  readonly rows: number;
  readonly runs: readonly RowRun[];
  readonly broken: readonly BrokenRow[];
}

/** A table that takes results for each loaded row, in order. */
export interface ResultTable {
  /**
   * @param isGood 1 for each row that has a result; the others are left out when it is written
   * @param values one a column
   */
  append(rows: ResultRows): void;
  /** No more is appended. */
  end(): void;
  /**
   * Writes the good rows.
   * @param selection SQL for what comes first, over `file`, `row`, and the results under their names
   */
  write(request: {
    readonly path: string;
    readonly format: 'csv' | 'parquet';
    readonly selection: readonly string[];
    /** Names for the copied columns. */
    readonly copyNames: readonly string[];
    /** Whether to tell what the columns are. */
    readonly describe?: boolean;
    readonly signal: AbortSignal;
  }): Promise<WrittenRows>;
}

export interface WrittenRows {
  readonly rows: number;
  /** As asked for by `describe`, in their order. */
  readonly columns?: readonly WrittenColumn[];
}

export interface WrittenColumn {
  readonly name: string;
  /** DuckDB's name of the type. */
  readonly type: string;
  /** Whether some row has no value. */
  readonly nullable: boolean;
}

export interface ResultRows {
  readonly rows: number;
  readonly isGood: Uint8Array;
  /** From 1 on, within its file. */
  readonly row: BigInt64Array;
  readonly file: Int32Array;
  readonly values: readonly ResultValues[];
}

export interface LoadedRows {
  /** Broken ones included. */
  readonly rowsIn: number;
  readonly segments: readonly LoadedSegment[];
  /** Where the rows after these begin; undefined at the end. */
  readonly next: RowPosition | undefined;
  /** Chunks of some 2,000 rows, in order; broken rows are not among them. */
  chunks(signal: AbortSignal): AsyncIterable<FeatureChunk>;
  results(columns: readonly ResultColumn[], signal: AbortSignal): Promise<ResultTable>;
  /** Frees the memory. */
  drop(): Promise<void>;
}

export interface LoadedOptions {
  readonly engine: RowEngine;
  readonly session: Sandbox;
  readonly table: string;
  readonly features: readonly BoundFeature[];
  readonly hasDocuments: boolean;
  /** Whether any row has one. */
  readonly hasProblems: boolean;
  readonly copies: number;
  readonly segments: readonly LoadedSegment[];
  readonly rowsIn: number;
  readonly next: RowPosition | undefined;
  readonly workDir: string;
}

export function loadedRows(options: LoadedOptions): LoadedRows {
  const { engine, table, features, hasDocuments, hasProblems, copies, segments, rowsIn, next } = options;
  const scores = `${table}_results`;
  const sessions: Sandbox[] = [];
  const connect = async (): Promise<Sandbox> => {
    const session = await engine.connect();
    sessions.push(session);
    return session;
  };
  return {
    rowsIn,
    segments,
    next,
    async *chunks(signal) {
      // A column of texts that are all NULL would cost as much as one that is not.
      const told = [...(hasDocuments ? ['document'] : []), ...(hasProblems ? ['problem'] : [])];
      const names = [...features.map((_, i) => `f${i}`), ...told];
      const kinds: FeatureColumn['kind'][] = [...features.map(kindOf), ...told.map(() => 'string' as const)];
      const selection = names.flatMap((name, i) => selectionOf(kinds[i] ?? 'string', name));
      const session = await connect();
      const result = await session.stream(`SELECT ${selection.join(', ')} FROM ${table}`, signal);
      const columnsOf = featureColumnsReader(kinds);
      let fetching = result.fetchChunk();
      try {
        for (;;) {
          signal.throwIfAborted();
          const chunk = await fetching;
          if (chunk === null || chunk.rowCount === 0) return;
          const columns = columnsOf(chunk);
          fetching = result.fetchChunk(); // DuckDB works on the next while this one is looked at
          fetching.catch(() => undefined); // heard where it is awaited, unless nobody asks for it any more
          yield chunkOf(chunk.rowCount, columns, features.length, { hasDocuments, hasProblems });
        }
      } finally {
        await fetching.catch(() => undefined); // its connection must be idle when it is closed
      }
    },
    async results(columns, signal) {
      const session = await connect();
      const declared = columns.map(({ dtype }, i) => `o${i} ${RESULT_TYPES[dtype]}`);
      await session.run(
        `CREATE TABLE ${scores} (${['ok UTINYINT', '"file" INTEGER', '"row" BIGINT', ...declared].join(', ')})`,
        signal,
      );
      const appender = await openAppender(session.connection, scores, columns);
      return {
        append: appender.append,
        end: appender.end,
        async write({ path, format, selection, copyNames, describe = false, signal: writing }) {
          const outputs = columns.map(
            ({ name, dtype }, i) => `${resultSql(dtype, `o${i}`, format)} AS ${identifier(name)}`,
          );
          const copied = copyNames.slice(0, copies).map((name, i) => `x${i} AS ${identifier(name)}`);
          const from = copied.length === 0 ? scores : `${scores} POSITIONAL JOIN ${table}`;
          const how = format === 'csv' ? 'FORMAT csv, HEADER true' : 'FORMAT parquet, COMPRESSION snappy';
          const sql = `SELECT ${[...selection, ...outputs, ...copied].join(', ')} FROM ${from} WHERE ok = 1`;
          const written = await session.rows(`COPY (${sql}) TO ${literal(path)} (${how})`, writing);
          const count = Number(written[0]?.[0]);
          return describe ? { rows: count, columns: await describeRows(session, sql, writing) } : { rows: count };
        },
      };
    },
    async drop() {
      const signal = new AbortController().signal;
      for (const session of sessions) session.close();
      const session = await engine.connect();
      await session.run(`DROP TABLE IF EXISTS ${table}; DROP TABLE IF EXISTS ${scores}`, signal);
      session.close();
    },
  };
}

async function describeRows(session: Sandbox, sql: string, signal: AbortSignal): Promise<WrittenColumn[]> {
  const described = await session.rows(`SELECT column_name, column_type FROM (DESCRIBE ${sql})`, signal);
  const names = described.map(([name]) => identifier(String(name)));
  const missing = names.map((name) => `coalesce(bool_or(${name} IS NULL), false)`).join(', ');
  const [nullable = []] = await session.rows(`SELECT ${missing} FROM (${sql})`, signal);
  return described.map(([name, type], i) => ({
    name: String(name),
    type: String(type),
    nullable: nullable[i] === true,
  }));
}

function kindOf({ request, from }: BoundFeature): FeatureColumn['kind'] {
  if (from === 'document' || request.shape.length > 0) return 'string';
  if (request.dtype === 'string') return 'texts';
  return request.dtype === 'timestamp' ? 'int64' : request.dtype;
}

function chunkOf(
  rows: number,
  columns: readonly FeatureColumn[],
  features: number,
  { hasDocuments, hasProblems }: Pick<LoadedOptions, 'hasDocuments' | 'hasProblems'>,
): FeatureChunk {
  const documents = hasDocuments ? textsOf(columns[features]) : [];
  const problems = hasProblems ? textsOf(columns[features + (hasDocuments ? 1 : 0)]) : [];
  const isTold = problems.some((problem) => problem !== null);
  return {
    rows,
    columns: columns.slice(0, features),
    ...(hasDocuments ? { documents: documents.map((text) => text ?? '') } : {}),
    ...(isTold ? { problems: problems.map(problemsOf) } : {}),
  };
}

function textsOf(column: FeatureColumn | undefined): readonly (string | null)[] {
  if (column?.kind === 'string') return column.values;
  throw new AssayError('INTERNAL', 'a text column of a chunk is none');
}

function problemsOf(text: string | null): (string | null)[] | undefined {
  return text === null ? undefined : (JSON.parse(text) as (string | null)[]); // `to_json` of a list of texts
}

const RESULT_TYPES: Readonly<Record<Dtype, string>> = {
  float32: 'FLOAT',
  float64: 'DOUBLE',
  int64: 'BIGINT',
  timestamp: 'BIGINT',
  bool: 'UTINYINT',
  string: 'VARCHAR',
};

function resultSql(dtype: Dtype, sql: string, format: 'csv' | 'parquet'): string {
  if (dtype === 'bool') return `(${sql} = 1)`;
  if (dtype !== 'timestamp') return sql;
  return format === 'parquet'
    ? `make_timestamp(${sql})::TIMESTAMPTZ`
    : `strftime(make_timestamp(${sql}), '%Y-%m-%dT%H:%M:%S.%fZ')`;
}

const VECTOR_ROWS = 2048; // of DuckDB's own vectors

async function openAppender(
  connection: DuckDBConnection,
  table: string,
  columns: readonly ResultColumn[],
): Promise<Pick<ResultTable, 'append' | 'end'>> {
  const { BIGINT, DOUBLE, DuckDBDataChunk, FLOAT, INTEGER, UTINYINT, VARCHAR } = await import('@duckdb/node-api');
  const typeOf: Readonly<Record<Dtype, DuckDBType>> = {
    float32: FLOAT,
    float64: DOUBLE,
    int64: BIGINT,
    timestamp: BIGINT,
    bool: UTINYINT,
    string: VARCHAR,
  };
  const types = [UTINYINT, INTEGER, BIGINT, ...columns.map(({ dtype }) => typeOf[dtype])];
  const appender = await connection.createAppender(table);
  return {
    append({ rows, isGood, row, file, values }) {
      const all: readonly ResultValues[] = [isGood, file, row, ...values];
      for (let from = 0; from < rows; from += VECTOR_ROWS) {
        const to = Math.min(rows, from + VECTOR_ROWS);
        const chunk = DuckDBDataChunk.create(types, to - from);
        for (const [i, column] of all.entries()) fillVector(chunk.getColumnVector(i), column, from, to);
        appender.appendDataChunk(chunk);
      }
    },
    end() {
      appender.flushSync();
      appender.closeSync();
    },
  };
}

/** Numbers are copied whole into DuckDB's memory (see `itemsOf` in columns.ts), text one by one. */
function fillVector(vector: unknown, values: ResultValues, from: number, to: number): void {
  if (typeof vector !== 'object' || vector === null || !('flush' in vector) || typeof vector.flush !== 'function') {
    throw new TypeError('a DuckDB vector cannot be written');
  }
  if (Array.isArray(values)) {
    if (!('setItem' in vector) || typeof vector.setItem !== 'function') throw new TypeError('no text vector');
    for (let i = from; i < to; i++) vector.setItem(i - from, values[i] ?? '');
  } else {
    const items: unknown = 'items' in vector ? vector.items : undefined;
    const typed = values as Exclude<ResultValues, readonly string[]>; // not an array
    if (!(items instanceof typed.constructor))
      throw new TypeError('a DuckDB vector is of another type than its values');
    (items as Float64Array).set((typed as Float64Array).subarray(from, to)); // of one type, checked above
  }
  vector.flush();
}
