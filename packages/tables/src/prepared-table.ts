/** The columns that were asked for, read once and held by DuckDB: counted, profiled, streamed. */
import { AssayError, type Dtype } from '@assay/contracts';
import { type ColumnKind, columnsOf, selectionOf, type TableChunk, typedArrayOf } from './columns.ts';
import { literal, type Sandbox } from './duckdb.ts';
import { type ColumnProfile, profileColumns } from './profile.ts';

export interface TableColumn {
  readonly name: string;
  readonly dtype: Dtype;
}

/** The rows where a whole-number column that was added holds a value. */
export interface RowFilter {
  readonly column: string;
  readonly equals: number;
}

/** The distinct values of a column, ascending, NULL left out, and how many rows hold each. */
export interface Dictionary {
  readonly values: readonly string[] | readonly bigint[];
  readonly counts: readonly number[];
}

/** A column to read, as its own dtype (instants as int64 microseconds), as doubles, or as positions in `codesOf`. */
export interface ReadColumn {
  readonly name: string;
  readonly as?: 'float64';
  readonly codesOf?: readonly string[] | readonly bigint[];
}

export interface PreparedTable {
  readonly columns: readonly TableColumn[];
  countRows(signal: AbortSignal): Promise<number>;
  /** Removes the rows where the column has no value; gives how many there were. */
  dropMissing(name: string, signal: AbortSignal): Promise<number>;
  /** Adds a column of small whole numbers, one a row in the table's order. */
  addColumn(name: string, values: Uint8Array, signal: AbortSignal): Promise<void>;
  dictionary(name: string, options: { readonly where?: RowFilter; readonly signal: AbortSignal }): Promise<Dictionary>;
  profile(
    names: readonly string[],
    options: { readonly where?: RowFilter; readonly signal: AbortSignal },
  ): Promise<ColumnProfile[]>;
  /** Chunks of some 2,000 rows, in the table's order. */
  read(
    columns: readonly ReadColumn[],
    options: { readonly where?: RowFilter; readonly signal: AbortSignal },
  ): AsyncIterable<TableChunk>;
}

/** The table `prepared` of the sandbox, whose columns are c0, c1, …. */
export function tableOf(sandbox: Sandbox, initial: readonly TableColumn[], opened: AbortSignal): PreparedTable {
  opened.throwIfAborted();
  const columns = [...initial];
  const positions = new Map(columns.map((column, i) => [column.name, i]));
  const find = (name: string): { sql: string; column: TableColumn } => {
    const position = positions.get(name);
    const column = position === undefined ? undefined : columns[position];
    if (column === undefined) throw new AssayError('INTERNAL', `the prepared table has no column "${name}"`);
    return { sql: `c${position}`, column };
  };
  const whereOf = (filter: RowFilter | undefined) =>
    filter === undefined ? '' : ` WHERE ${find(filter.column).sql} = ${Math.trunc(filter.equals)}`;
  let enums = 0;

  return {
    columns,
    countRows: async (signal) => Number((await sandbox.rows('SELECT count(*) FROM prepared', signal))[0]?.[0]),
    async dropMissing(name, signal) {
      const { sql } = find(name);
      const removed = await sandbox.rows(`SELECT count(*) FROM prepared WHERE ${sql} IS NULL`, signal);
      const count = Number(removed[0]?.[0]);
      // A new table, not DELETE: positions in the table stay those of its rows.
      if (count > 0) {
        await sandbox.run(`CREATE TABLE kept AS SELECT * FROM prepared WHERE ${sql} IS NOT NULL`, signal);
        await sandbox.run('DROP TABLE prepared; ALTER TABLE kept RENAME TO prepared', signal);
      }
      return count;
    },
    async addColumn(name, values, signal) {
      await sandbox.run('CREATE TABLE added (v UTINYINT)', signal);
      await appendBytes(sandbox, values, signal);
      const position = columns.length;
      await sandbox.run(
        `CREATE TABLE joined AS SELECT prepared.*, added.v AS c${position} FROM prepared POSITIONAL JOIN added`,
        signal,
      );
      await sandbox.run('DROP TABLE added; DROP TABLE prepared; ALTER TABLE joined RENAME TO prepared', signal);
      columns.push({ name, dtype: 'int64' });
      positions.set(name, position);
    },
    async dictionary(name, { where, signal }) {
      const { sql } = find(name);
      const filter = where === undefined ? '' : ` FILTER (${whereOf(where)})`;
      const rows = await sandbox.rows(
        `SELECT ${sql}, count(*)${filter} FROM prepared WHERE ${sql} IS NOT NULL GROUP BY 1 ORDER BY 1`,
        signal,
      );
      return {
        values: rows.map(([value]) => (typeof value === 'bigint' ? value : String(value))) as string[] | bigint[], // one type a column
        counts: rows.map(([, count]) => Number(count)),
      };
    },
    profile: (names, { where, signal }) => profileColumns(sandbox, names.map(find), whereOf(where), signal),
    async *read(requests, { where, signal }) {
      const kinds: ColumnKind[] = [];
      const selection: string[] = [];
      for (const request of requests) {
        const { sql, column } = find(request.name);
        if (request.codesOf !== undefined) {
          const type = `dictionary${enums++}`;
          await sandbox.run(
            `CREATE TYPE ${type} AS ENUM (${request.codesOf.map((value) => literal(String(value))).join(', ')})`,
            signal,
          );
          kinds.push('codes');
          selection.push(...selectionOf('codes', `enum_code(TRY_CAST(${sql}::VARCHAR AS ${type}))`));
        } else {
          const kind = request.as ?? kindOf(column.dtype);
          kinds.push(kind);
          selection.push(...selectionOf(kind, sql));
        }
      }
      const result = await sandbox.stream(`SELECT ${selection.join(', ')} FROM prepared${whereOf(where)}`, signal);
      for (;;) {
        signal.throwIfAborted();
        const chunk = await result.fetchChunk();
        if (chunk === null || chunk.rowCount === 0) return;
        yield { rows: chunk.rowCount, columns: columnsOf(chunk, kinds) };
      }
    },
  };
}

function kindOf(dtype: Dtype): ColumnKind {
  return dtype === 'timestamp' ? 'int64' : dtype;
}

const APPEND_ROWS = 2048; // the size of DuckDB's own vectors

async function appendBytes(sandbox: Sandbox, values: Uint8Array, signal: AbortSignal): Promise<void> {
  const { DuckDBDataChunk, UTINYINT } = await import('@duckdb/node-api');
  const appender = await sandbox.connection.createAppender('added');
  for (let from = 0; from < values.length; from += APPEND_ROWS) {
    signal.throwIfAborted();
    const part = values.subarray(from, from + APPEND_ROWS);
    const chunk = DuckDBDataChunk.create([UTINYINT], part.length);
    const vector = chunk.getColumnVector(0);
    typedArrayOf(vector, Uint8Array).set(part);
    vector.flush();
    appender.appendDataChunk(chunk);
  }
  appender.flushSync();
  appender.closeSync();
}
