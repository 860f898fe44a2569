/**
 * Kysely's driver for PostgreSQL with the guarantees of ours for SQLite: writes go one at a time over one connection of
 * the process, each under an advisory lock of the schema, which holds off the writers of other processes until the commit;
 * reads go over connections that can do nothing else.
 *
 * A write sees what was committed before it had the lock: the isolation is READ COMMITTED, where each statement looks anew.
 */
import { createHash } from 'node:crypto';
import { AssayError } from '@assay/contracts';
import {
  type ColumnDefinitionNode,
  type CompiledQuery,
  type DatabaseConnection,
  type DataTypeNode,
  type Driver,
  PostgresDialect,
  PostgresQueryCompiler,
  type QueryCompiler,
  type QueryResult,
} from 'kysely';
import type { Pool, PoolClient } from 'pg';
import { brokenTransactionError, closedError, nestedError, type Turns } from './one-writer.ts';
import { hasPostgresCode, isConnectionBroken, mapPostgresError } from './postgres-errors.ts';

export interface Pools {
  /** One connection. */
  readonly writer: Pool;
  /** Some, in read-only sessions. */
  readonly readers: Pool;
}

const READ_ONLY_SESSION = '25006';
const CLOSE_TIMEOUT_MS = 5000;

/** The advisory lock of a schema: whoever writes there holds it. */
export function writerLockKey(schema: string): bigint {
  return createHash('sha256').update(`assay one writer of ${schema}`).digest().readBigInt64BE();
}

export class OneWriterDialect extends PostgresDialect {
  readonly #driver: Driver;

  constructor(driver: Driver) {
    super({ pool: () => Promise.reject(new Error('the driver is given')) });
    this.#driver = driver;
  }

  override createDriver(): Driver {
    return this.#driver;
  }

  override createQueryCompiler(): QueryCompiler {
    return new ByteOrderCompiler();
  }
}

/** Text columns sort by their bytes, as in SQLite and in this program, whatever the locale of the database is. */
class ByteOrderCompiler extends PostgresQueryCompiler {
  #isInColumn = false;

  protected override visitColumnDefinition(node: ColumnDefinitionNode): void {
    this.#isInColumn = true;
    super.visitColumnDefinition(node);
    this.#isInColumn = false;
  }

  protected override visitDataType(node: DataTypeNode): void {
    super.visitDataType(node);
    if (this.#isInColumn && node.dataType === 'text') this.append(' collate "C"');
    this.#isInColumn = false; // a cast in the column's default is none of it
  }
}

interface PostgresConnection extends DatabaseConnection {
  /** The writer's connection, while this one is in a transaction. */
  client: PoolClient | undefined;
  /** The error of a statement of the transaction. */
  failure: unknown;
}

export function createPostgresDriver(
  { where, schema }: { readonly where: string; readonly schema: string },
  pools: Pools,
  turns: Turns,
): Driver {
  const begin = `begin; select pg_advisory_xact_lock(${writerLockKey(schema)})`;
  let cursors = 0;

  async function guarded<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      throw mapPostgresError(error, where);
    }
  }

  function connect(pool: Pool): Promise<PoolClient> {
    if (pool.ending) throw closedError(where);
    return pool.connect();
  }

  /** Begins a transaction on the writer's connection and waits for the schema's lock. */
  async function beginWriting(): Promise<PoolClient> {
    const signal = turns.signal();
    signal?.throwIfAborted();
    const client = await connect(pools.writer);
    let cancelled: Promise<unknown> | undefined;
    const onAbort = (): void => {
      const { processID } = client as PoolClient & { processID: number | null }; // pg's types do not tell of it
      cancelled = pools.readers.query('select pg_cancel_backend($1)', [processID]).catch(() => undefined); // else lock_timeout
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await client.query(begin);
    } catch (error) {
      await cancelled;
      client.release(true);
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
    if (cancelled !== undefined) {
      client.release(true); // the cancellation may hit any later statement of this connection
      signal?.throwIfAborted();
    }
    return client;
  }

  async function commit(client: PoolClient): Promise<void> {
    try {
      // A transaction with a failed statement is rolled back by `commit`, without an error.
      if ((await client.query('commit')).command !== 'COMMIT') throw brokenTransactionError(where, undefined);
    } catch (error) {
      const isLost = isConnectionBroken(error) && !(error instanceof AssayError);
      client.release(isLost);
      if (!isLost) throw error;
      const message = `database ${where}: the connection was lost during the commit; look whether the change was kept`;
      throw new AssayError('UNAVAILABLE', message, { cause: error });
    }
    client.release();
  }

  async function rollback(client: PoolClient): Promise<void> {
    try {
      await client.query('rollback');
      client.release();
    } catch {
      client.release(true); // without its connection the server undoes the transaction by itself
    }
  }

  async function write<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const end = await turns.take();
    try {
      const client = await beginWriting();
      let result: QueryResult<R>;
      try {
        result = await execute<R>(client, query);
      } catch (error) {
        await rollback(client);
        throw error;
      }
      await commit(client);
      return result;
    } finally {
      end();
    }
  }

  async function read<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const client = await connect(pools.readers);
    try {
      const result = await execute<R>(client, query);
      client.release();
      return result;
    } catch (error) {
      client.release(isConnectionBroken(error));
      throw error;
    }
  }

  /** Rows by a cursor of the server, `chunkSize` at a time. */
  async function* fetch<R>(
    client: PoolClient,
    query: CompiledQuery,
    chunkSize: number,
  ): AsyncGenerator<QueryResult<R>> {
    const cursor = `assay_cursor_${++cursors}`;
    await client.query(`declare ${cursor} no scroll cursor for ${query.sql}`, [...query.parameters]);
    for (;;) {
      const { rows } = await client.query<R & object>(`fetch ${chunkSize} from ${cursor}`);
      if (rows.length > 0) yield { rows };
      if (rows.length < chunkSize) break;
    }
    await client.query(`close ${cursor}`);
  }

  async function* stream<R>(query: CompiledQuery, chunkSize: number): AsyncGenerator<QueryResult<R>> {
    const client = await connect(pools.readers);
    let isWhole = false;
    try {
      await client.query('begin');
      yield* fetch<R>(client, query, chunkSize);
      await client.query('commit');
      isWhole = true;
    } finally {
      client.release(!isWhole); // left in the middle: a transaction and a cursor are open
    }
  }

  function createConnection(): PostgresConnection {
    const connection: PostgresConnection = {
      client: undefined,
      failure: undefined,
      executeQuery: <R>(query: CompiledQuery) =>
        guarded<QueryResult<R>>(async () => {
          if (connection.client !== undefined) return inTransaction(() => execute<R>(ownClient(), query));
          if (turns.isInsideTransaction()) throw nestedError(where);
          if (!mayBeRead(query)) return write<R>(query);
          try {
            return await read<R>(query);
          } catch (error) {
            if (!hasPostgresCode(error, READ_ONLY_SESSION)) throw error;
          }
          return write<R>(query); // `with … insert`, `select … for update`
        }),
      async *streamQuery<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
        if (connection.client === undefined && turns.isInsideTransaction()) throw nestedError(where);
        try {
          yield* connection.client === undefined
            ? stream<R>(query, chunkSize)
            : fetch<R>(connection.client, query, chunkSize);
        } catch (error) {
          if (connection.client !== undefined) connection.failure ??= error;
          throw mapPostgresError(error, where);
        }
      },
    };

    function ownClient(): PoolClient {
      if (connection.failure !== undefined) throw brokenTransactionError(where, connection.failure);
      if (connection.client === undefined) throw new Error('the transaction has ended');
      return connection.client;
    }

    async function inTransaction<T>(statement: () => Promise<T>): Promise<T> {
      try {
        return await statement();
      } catch (error) {
        connection.failure ??= error;
        throw error;
      }
    }
    return connection;
  }

  const own = (connection: DatabaseConnection): PostgresConnection => connection as PostgresConnection; // made by acquireConnection

  return {
    async init() {},
    async acquireConnection() {
      return createConnection();
    },
    async beginTransaction(connection) {
      // Kysely's own `db.transaction()` has no turn; nor has one inside of another.
      if (!turns.isInsideTransaction() || isWriting(pools.writer)) throw nestedError(where);
      own(connection).client = await guarded(beginWriting);
    },
    async commitTransaction(connection) {
      const { client, failure } = own(connection);
      if (client === undefined) return;
      if (failure !== undefined) throw brokenTransactionError(where, failure); // Kysely then rolls back
      own(connection).client = undefined;
      await guarded(() => commit(client));
    },
    async rollbackTransaction(connection) {
      const { client } = own(connection);
      own(connection).client = undefined;
      if (client !== undefined) await rollback(client);
    },
    async savepoint(connection, name) {
      const { client, failure } = own(connection);
      if (client === undefined || failure !== undefined) throw brokenTransactionError(where, failure);
      await guarded(() => client.query(`savepoint ${name}`));
    },
    async rollbackToSavepoint(connection, name) {
      const { client } = own(connection);
      if (client === undefined) throw brokenTransactionError(where, undefined);
      await guarded(() => client.query(`rollback to savepoint ${name}`));
      own(connection).failure = undefined;
    },
    async releaseConnection() {},
    async destroy() {
      const ended = Promise.allSettled([pools.writer.end(), pools.readers.end()]);
      const giveUp = Promise.withResolvers<void>();
      const timer = setTimeout(giveUp.resolve, CLOSE_TIMEOUT_MS); // a stream that nobody reads on holds its connection
      await Promise.race([ended, giveUp.promise]);
      clearTimeout(timer);
    },
  };
}

/** Whether the one connection that writes is in use. */
function isWriting(writer: Pool): boolean {
  return writer.totalCount > writer.idleCount || writer.waitingCount > 0;
}

/** What is tried over a read-only connection first; the server itself refuses what is a write after all. */
function mayBeRead({ query, sql }: CompiledQuery): boolean {
  return query.kind === 'SelectQueryNode' || (query.kind === 'RawNode' && /^\s*(select|with|values|show)\b/i.test(sql));
}

async function execute<R>(client: PoolClient, query: CompiledQuery): Promise<QueryResult<R>> {
  const { command, rowCount, rows } = await client.query(query.sql, [...query.parameters]);
  const isChange = command === 'INSERT' || command === 'UPDATE' || command === 'DELETE' || command === 'MERGE';
  return {
    rows: rows as R[], // Kysely typed the query, and so its rows
    ...(isChange ? { numAffectedRows: BigInt(rowCount ?? 0) } : {}),
  };
}
