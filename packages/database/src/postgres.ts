/** Opens PostgreSQL by `pg`: its connections, their limits, and how values come back. */
import { AssayError } from '@assay/contracts';
import { type Kysely, sql } from 'kysely';
import { type ClientConfig, Pool, type PoolConfig } from 'pg';
import type { AnyTables, Database, Migration } from './database.ts';
import { checkMigrationList, migrate } from './migrations.ts';
import { openOneWriter, TURN_TIMEOUT_MS } from './one-writer.ts';
import { createPostgresDriver, OneWriterDialect, type Pools } from './postgres-driver.ts';
import { type PostgresAddress, parsePostgresUrl } from './postgres-url.ts';

const CONNECT_TIMEOUT_MS = 5000;
const READ_TIMEOUT_MS = 30_000;
/** More than TURN_TIMEOUT_MS: waiting for the lock is a statement too. */
const WRITE_TIMEOUT_MS = 60_000;
/** A process that was frozen within a transaction must not hold off all others for longer. */
const MAX_IDLE_WRITER_MS = 30_000;
/** A stream's reader may be slow; it holds nobody off. */
const MAX_IDLE_READER_MS = 600_000;
/** For what the server cannot answer, being gone with its host: after its own time-out. */
const ANSWER_GRACE_MS = 5000;
const IDLE_CONNECTION_MS = 30_000;

export async function openPostgres<Tables>(
  url: string,
  options: { readonly migrations: readonly Migration[]; readonly signal?: AbortSignal | undefined },
): Promise<Database<Tables>> {
  checkMigrationList(options.migrations);
  const address = parsePostgresUrl(url);
  const pools = openPools(address);
  return openOneWriter<Tables>({
    where: address.where,
    migrations: options.migrations,
    signal: options.signal,
    createDialect: (turns) => new OneWriterDialect(createPostgresDriver(address, pools, turns)),
    migrate: async (db) => {
      await makeSchema(db, address.schema);
      await sql`set local statement_timeout = 0`.execute(db); // an index over all rows may take its time
      await migrate(db, options.migrations, address.where);
    },
    closeConnections: () => undefined, // ended with the driver
  });
}

/** Asks first: `create schema if not exists` needs the right to create one also where it exists. */
async function makeSchema(db: Kysely<AnyTables>, schema: string): Promise<void> {
  const { rows } = await sql`select 1 from pg_namespace where nspname = ${schema}`.execute(db);
  if (rows.length === 0) await db.schema.createSchema(schema).execute();
}

/** What every connection to the address has. */
export function connectionConfig(address: PostgresAddress): ClientConfig {
  return {
    host: address.host,
    port: address.port,
    database: address.database,
    user: address.user,
    password: address.password,
    ssl: address.tls ?? false,
    application_name: `assay-${address.schema}`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    types: { getTypeParser: (oid: number) => PARSERS[oid] ?? asText },
  };
}

function openPools(address: PostgresAddress): Pools {
  const config: PoolConfig = {
    ...connectionConfig(address),
    idleTimeoutMillis: IDLE_CONNECTION_MS,
    allowExitOnIdle: true,
  };
  // A page from the middle costs no more than the next one, on any disk of today; else a table of some thousand rows is
  // rather read whole than by its index.
  const session = `-c search_path=${address.schema} -c random_page_cost=1.1`;
  const pools = {
    writer: new Pool({
      ...config,
      max: 1,
      options: session,
      lock_timeout: TURN_TIMEOUT_MS,
      statement_timeout: WRITE_TIMEOUT_MS,
      idle_in_transaction_session_timeout: MAX_IDLE_WRITER_MS,
    }),
    readers: new Pool({
      ...config,
      max: address.maxReaders,
      options: `${session} -c default_transaction_read_only=on`,
      statement_timeout: READ_TIMEOUT_MS,
      query_timeout: READ_TIMEOUT_MS + ANSWER_GRACE_MS,
      idle_in_transaction_session_timeout: MAX_IDLE_READER_MS,
    }),
  };
  for (const pool of [pools.writer, pools.readers]) {
    // A lost connection is reported by the statement that meets it; nothing else may end the process.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => client.on('error', () => undefined));
  }
  return pools;
}

/**
 * By the type's number (`select oid, typname from pg_type`), as SQLite gives them: every number a number, and a comparison
 * 1 or 0.
 */
const PARSERS: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => (text === 't' ? 1 : 0), // bool
  20: toInteger, // int8
  21: Number,
  23: Number,
  26: Number,
  700: Number, // float4
  701: Number, // float8
  1700: Number, // numeric: what sum and avg of integers give
};

const asText = (text: string): string => text;

function toInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  throw new AssayError('INTERNAL', `the database holds the integer ${text}, which is beyond 2^53`);
}
