/**
 * What both databases share: transactions one at a time, in the order of asking, and the rule that inside of one only its
 * own handle is used. How a turn holds off other processes is the driver's: the file's lock, or PostgreSQL's.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { AssayError } from '@assay/contracts';
import { type Dialect, Kysely } from 'kysely';
import type { AnyTables, Database, Migration, TransactionOptions } from './database.ts';
import { checkMigrationList } from './migrations.ts';
import { createRounds } from './rounds.ts';
import { createWriteLock, type TurnKind } from './write-lock.ts';

/** How long a change waits for those ahead of it. */
export const TURN_TIMEOUT_MS = 30_000;

/** What a driver needs to know of whose turn it is. */
export interface Turns {
  /** Waits for the turn of a single write, and gives the function that ends it. */
  take(): Promise<() => void>;
  /** Whether the caller runs inside the callback of `transaction`. */
  isInsideTransaction(): boolean;
  /** The signal that the running transaction was asked with. */
  signal(): AbortSignal | undefined;
}

export interface OneWriterOptions {
  /** Names the database in messages; holds no secret. */
  readonly where: string;
  readonly migrations: readonly Migration[];
  readonly signal?: AbortSignal | undefined;
  createDialect(turns: Turns): Dialect;
  /** Runs under the first transaction: makes or changes the schema. */
  migrate(db: Kysely<AnyTables>): Promise<void>;
  /** Before those that commit together begin, their turn having come. */
  beforeBegin?(): Promise<void>;
  closeConnections(): Promise<void> | void;
}

/** A database whose transactions run alone. Migrates it; where that fails, everything is closed. */
export async function openOneWriter<Tables>(options: OneWriterOptions): Promise<Database<Tables>> {
  const { where } = options;
  const lock = createWriteLock(where);
  /** Set while the callback of a transaction of THIS database runs, and seen by all that it calls. */
  const current = new AsyncLocalStorage<{ active: boolean; readonly signal: AbortSignal | undefined }>();
  const commitListeners = new Set<() => void>();
  let closing: Promise<void> | undefined;

  const takeTurn = (kind: TurnKind, signal?: AbortSignal): Promise<() => void> =>
    lock.acquire({ timeoutMs: TURN_TIMEOUT_MS, signal, kind });
  const isInsideTransaction = (): boolean => current.getStore()?.active === true;
  const dialect = options.createDialect({
    take: () => takeTurn('statement'),
    isInsideTransaction,
    signal: () => current.getStore()?.signal,
  });
  const db = new Kysely<Tables>({ dialect });
  const { beforeBegin } = options;
  const rounds = createRounds({
    where,
    db,
    isTransactionNext: () => lock.next() === 'transaction',
    ...(beforeBegin === undefined ? {} : { beforeBegin }),
    onCommit() {
      for (const listener of commitListeners) listener();
    },
  });

  const transaction: Database<Tables>['transaction'] = async (change, { signal }: TransactionOptions = {}) => {
    if (closing !== undefined) throw closedError(where);
    if (isInsideTransaction()) throw nestedError(where);
    const endTurn = await takeTurn('transaction', signal);
    const context = { active: true, signal };
    return current.run(context, () =>
      rounds.run(async (trx) => {
        try {
          return await change(trx);
        } finally {
          context.active = false;
        }
      }, endTurn),
    );
  };

  const database: Database<Tables> = {
    db,
    transaction,
    onCommit(listener) {
      commitListeners.add(listener);
      return () => {
        commitListeners.delete(listener);
      };
    },
    close() {
      closing ??= (async () => {
        const end = await takeTurn('statement');
        commitListeners.clear();
        await db.destroy();
        await options.closeConnections();
        end();
      })();
      return closing;
    },
    [Symbol.asyncDispose]() {
      return database.close();
    },
  };
  try {
    checkMigrationList(options.migrations);
    // The same rows and statements whatever the tables are called: a Kysely's type parameter exists only for the compiler.
    await transaction((trx) => options.migrate(trx as unknown as Kysely<AnyTables>), {
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

export function nestedError(where: string): AssayError {
  return new AssayError(
    'INTERNAL',
    `database ${where}: transactions are begun by \`transaction()\`, and inside a transaction only its own handle may be ` +
      'used (it would wait for itself, or see other rows)',
  );
}

/** A change that caught the error of one of its statements and went on: on PostgreSQL it would be lost in silence. */
export function brokenTransactionError(where: string, cause: unknown): AssayError {
  return new AssayError(
    'INTERNAL',
    `database ${where}: a statement of the transaction failed, so that nothing of it is kept; let its error out of the change`,
    { cause },
  );
}

export function closedError(where: string): AssayError {
  return new AssayError('UNAVAILABLE', `database ${where}: is closed; the process is stopping`);
}
