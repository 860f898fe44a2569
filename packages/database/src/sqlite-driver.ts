/**
 * Kysely's driver for SQLite with two connections to a file: one writes, one statement or transaction at a time; one only
 * reads, and sees what is committed (WAL).
 *
 * Kysely's own has one connection and one mutex for everything: a read waits for the whole of a transaction, and a read
 * inside one deadlocks. A database in memory has only the writer's connection, so its reads wait their turn here too.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type BetterSqlite3 from 'better-sqlite3';
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteDialect,
} from 'kysely';
import { isBusy, mapDatabaseError } from './errors.ts';
import { brokenTransactionError, nestedError, type Turns } from './one-writer.ts';

type Connection = BetterSqlite3.Database;
type Statement = BetterSqlite3.Statement<unknown[], unknown>;

const BUSY_TIMEOUT_MS = 10_000;
const MAX_CACHED_STATEMENTS = 200;

export interface Files {
  readonly writer: Connection;
  /** The writer itself for a database in memory. */
  readonly reader: Connection;
}

/** Another process holds the file's lock for the time of a transaction: wait for it without blocking this thread. */
export async function retryWhileBusy<T>(operation: () => T, signal?: AbortSignal): Promise<T> {
  const giveUpAt = performance.now() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      return operation();
    } catch (error) {
      if (!isBusy(error) || performance.now() > giveUpAt) throw error;
    }
    await delay(5 + Math.random() * 20, undefined, signal === undefined ? {} : { signal });
  }
}

/**
 * A write blocks the thread until it is durable, and all else here happens in microtasks: a loop that writes would let no
 * timer and no socket have its turn. So each write gives them one.
 */
export function letOthersRun(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export class TwoConnectionDialect extends SqliteDialect {
  readonly #driver: Driver;

  constructor(driver: Driver) {
    super({ database: () => Promise.reject(new Error('the driver is given')) });
    this.#driver = driver;
  }

  override createDriver(): Driver {
    return this.#driver;
  }

  override createAdapter(): SqliteAdapter {
    return new UnserialisedAdapter();
  }
}

/** The driver orders writers itself; Kysely's mutex around every statement would order readers behind them too. */
class UnserialisedAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }

  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

export function createDriver(path: string, { writer, reader }: Files, turns: Turns): Driver {
  const onWriter = createStatements(writer);
  const onReader = reader === writer ? onWriter : createStatements(reader);

  async function guarded<T>(operation: () => T | Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      throw mapDatabaseError(error, path);
    }
  }

  /**
   * Where the connection is the writer's, rows are read before they are given out: a statement that is still being read
   * would refuse every write.
   */
  async function* rowsOf<R>(query: CompiledQuery, inTransaction: boolean): AsyncGenerator<R> {
    if (inTransaction) yield* writer.prepare<unknown[], R>(query.sql).all(query.parameters);
    else if (reader !== writer) yield* reader.prepare<unknown[], R>(query.sql).iterate(query.parameters);
    else {
      const end = await turns.take();
      let rows: R[];
      try {
        rows = writer.prepare<unknown[], R>(query.sql).all(query.parameters);
      } finally {
        end();
      }
      yield* rows;
    }
  }

  /** A statement that failed ends its transaction, as it does on PostgreSQL: a store that swallows it fails on both. */
  function executeInTransaction<R>(connection: SqliteConnection, query: CompiledQuery): QueryResult<R> {
    if (connection.failure !== undefined) throw brokenTransactionError(path, connection.failure);
    try {
      return execute<R>(onWriter.get(query.sql), query.parameters);
    } catch (error) {
      connection.failure = error;
      throw error;
    }
  }

  /** What `db` uses: each statement for itself. */
  function createConnection(): SqliteConnection {
    const connection: SqliteConnection = {
      inTransaction: false,
      failure: undefined,
      executeQuery: <R>(query: CompiledQuery) =>
        guarded<QueryResult<R>>(async () => {
          if (connection.inTransaction) return executeInTransaction<R>(connection, query);
          if (turns.isInsideTransaction()) throw nestedError(path);
          if (reader !== writer) {
            const statement = onReader.get(query.sql);
            if (statement.readonly) return retryWhileBusy(() => execute<R>(statement, query.parameters));
          }
          const end = await turns.take();
          try {
            return await retryWhileBusy(() => execute<R>(onWriter.get(query.sql), query.parameters));
          } finally {
            end();
            await letOthersRun();
          }
        }),
      async *streamQuery<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
        if (!connection.inTransaction && turns.isInsideTransaction()) throw nestedError(path);
        let chunk: R[] = [];
        try {
          for await (const row of rowsOf<R>(query, connection.inTransaction)) {
            chunk.push(row);
            if (chunk.length >= chunkSize) {
              yield { rows: chunk };
              chunk = [];
            }
          }
        } catch (error) {
          throw mapDatabaseError(error, path);
        }
        if (chunk.length > 0) yield { rows: chunk };
      },
    };
    return connection;
  }

  const own = (connection: DatabaseConnection): SqliteConnection => connection as SqliteConnection; // made by acquireConnection

  return {
    async init() {},
    async acquireConnection() {
      return createConnection();
    },
    async beginTransaction(connection) {
      // Kysely's own `db.transaction()` has no turn, and would begin in the midst of another.
      if (!turns.isInsideTransaction() || writer.inTransaction) throw nestedError(path);
      await guarded(() => retryWhileBusy(() => writer.exec('BEGIN IMMEDIATE')));
      own(connection).inTransaction = true;
    },
    async commitTransaction(connection) {
      await guarded(() => {
        const { failure } = own(connection);
        if (failure !== undefined || !writer.inTransaction) throw brokenTransactionError(path, failure);
        writer.exec('COMMIT');
      });
      own(connection).inTransaction = false;
    },
    async rollbackTransaction(connection) {
      own(connection).inTransaction = false;
      // A full disk may have rolled it back already.
      await guarded(() => (writer.inTransaction ? writer.exec('ROLLBACK') : undefined));
    },
    async savepoint(connection, name) {
      await guarded(() => {
        const { failure } = own(connection);
        if (failure !== undefined || !writer.inTransaction) throw brokenTransactionError(path, failure);
        writer.exec(`SAVEPOINT ${name}`);
      });
    },
    async rollbackToSavepoint(connection, name) {
      await guarded(() => writer.exec(`ROLLBACK TO ${name}`));
      own(connection).failure = undefined;
    },
    async releaseConnection() {},
    async destroy() {},
  };
}

interface SqliteConnection extends DatabaseConnection {
  inTransaction: boolean;
  /** The error of a statement of the transaction. */
  failure: unknown;
}

function execute<R>(statement: Statement, parameters: readonly unknown[]): QueryResult<R> {
  if (statement.reader) return { rows: statement.all(...parameters) as R[] }; // Kysely typed the query, and so its rows
  const { changes } = statement.run(...parameters);
  return { numAffectedRows: BigInt(changes), rows: [] };
}

interface Statements {
  get(sql: string): Statement;
}

/** Prepared statements by their text, the least recently used dropped. */
function createStatements(connection: Connection): Statements {
  const cached = new Map<string, Statement>();
  return {
    get(sql) {
      let statement = cached.get(sql);
      if (statement === undefined) statement = connection.prepare<unknown[], unknown>(sql);
      else cached.delete(sql);
      cached.set(sql, statement);
      if (cached.size > MAX_CACHED_STATEMENTS) {
        const oldest = cached.keys().next();
        if (!oldest.done) cached.delete(oldest.value);
      }
      return statement;
    },
  };
}
