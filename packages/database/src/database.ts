/**
 * A service's database. Words: a *store* is a service's code that reads and writes its tables; a *migration* is one step
 * of their schema, forward only.
 *
 * No dialect branch exists outside this package. Columns are therefore: `text` for ids, names and JSON (a store calls
 * JSON.stringify and parses with its schema), `bigint` for integers and milliseconds (exact to ±(2^53 − 1)), `double
 * precision` for reals, and a bigint of 0 or 1 for a boolean. Numbers are given out by counters in tables of their own,
 * not by autoincrement. Text sorts by its bytes; an aggregate or a comparison gives a number on both.
 */
import type { Kysely, Transaction } from 'kysely';

/** What a migration sees: any table, any column. */
export type AnyTables = Record<string, Record<string, unknown>>;

export interface Migration {
  /** `001-models`: unique in the list, never changed once released. */
  readonly name: string;
  /** Runs inside one transaction with all other pending migrations and their record. */
  up(db: Kysely<AnyTables>): Promise<void>;
}

export interface TransactionOptions {
  /** Gives up waiting for the turn; a transaction that has begun is not interrupted. */
  readonly signal?: AbortSignal;
}

export interface Database<Tables> extends AsyncDisposable {
  /**
   * For single statements outside a transaction. A read sees what is committed; a write waits for the running transaction
   * and is durable when it resolves. Inside the callback of `transaction` it is refused: use the callback's argument.
   */
  readonly db: Kysely<Tables>;
  /**
   * Runs `change` alone: no other write of any process, by `transaction` or by `db`, comes between its reads and its
   * writes. (On SQLite the file's lock sees to it; on PostgreSQL an advisory lock of the schema, which every write through
   * this package takes and others' tools do not.) Resolves when the change is durable; when `change` throws, nothing of it
   * is kept. Keep it short: it holds up every other writer. When a statement fails, the transaction is over: let the error
   * out, or the change is refused at its end.
   * @throws AssayError UNAVAILABLE (disk full, locked, turn did not come, server away), FAILED_PRECONDITION (read-only,
   *   damaged), else what `change` threw. With PostgreSQL a connection that is lost during the commit leaves open whether
   *   the change was kept.
   */
  transaction<T>(change: (trx: Transaction<Tables>) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /**
   * Calls `listener` after each transaction that was committed through this handle (other processes' are not seen): the
   * hint that wakes an outbox publisher or a subscriber at once. It must not throw or block.
   * @returns the function that ends it
   */
  onCommit(listener: () => void): () => void;
  /** Waits for the running transaction, then closes the file or the connections. */
  close(): Promise<void>;
}
