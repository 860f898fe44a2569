/**
 * Transactions that commit together. A commit waits for the disk, however much it holds. So a transaction that others wait
 * behind leaves its commit to the last of them: each still runs alone, in the order of asking, and resolves when it is
 * durable. A savepoint stands before each but the first, so that one that throws takes nothing of the others with it. What
 * undoes all (a full disk, a lost connection, a commit that is refused) fails all of them.
 */
import { AssayError } from '@assay/contracts';
import type { ControlledTransaction, Kysely, Transaction } from 'kysely';

/** How many at most, and for how long: the writers of other processes wait meanwhile. */
const MAX_TOGETHER = 32;
const MAX_OPEN_MS = 20;
const MARK = 'assay_member';

interface Round<Tables> {
  readonly trx: ControlledTransaction<Tables>;
  /** At the savepoint before the member that runs; undefined for the first. */
  marked: ControlledTransaction<Tables, [typeof MARK]> | undefined;
  members: number;
  readonly beganMs: number;
  readonly end: PromiseWithResolvers<void>;
}

export interface RoundsOptions<Tables> {
  readonly where: string;
  readonly db: Kysely<Tables>;
  /** Whether the next turn is that of a transaction. */
  isTransactionNext(): boolean;
  /** Lets those come who ask at the same time: while it holds the lock of the file, a transaction waits for nobody. */
  beforeBegin?(): Promise<void>;
  onCommit(): void;
}

export interface Rounds<Tables> {
  /** Runs the change in the turn that `endTurn` ends; resolves when it is durable. */
  run<T>(change: (trx: Transaction<Tables>) => Promise<T>, endTurn: () => void): Promise<T>;
}

export function createRounds<Tables>(options: RoundsOptions<Tables>): Rounds<Tables> {
  const { where, db } = options;
  /** For who has the next turn. */
  let passedOn: Round<Tables> | undefined;

  async function join(): Promise<Round<Tables>> {
    const round = passedOn ?? (await begin());
    passedOn = undefined;
    round.members += 1;
    return round;
  }

  async function begin(): Promise<Round<Tables>> {
    await options.beforeBegin?.();
    const trx = await db.startTransaction().execute();
    const end = Promise.withResolvers<void>();
    end.promise.catch(() => undefined); // where nobody waits for it
    return { trx, marked: undefined, members: 0, beganMs: performance.now(), end };
  }

  const isOpenToOthers = ({ members, beganMs }: Round<Tables>): boolean =>
    members < MAX_TOGETHER && performance.now() - beganMs < MAX_OPEN_MS && options.isTransactionNext();

  /** Undoes what the running member did. @returns whether the others' work is still there */
  async function undo(round: Round<Tables>): Promise<boolean> {
    if (round.marked !== undefined) {
      try {
        await round.marked.rollbackToSavepoint(MARK).execute();
        return true;
      } catch (cause) {
        const message = `database ${where}: a transaction that was to commit with this one has undone both; try again`;
        round.end.reject(new AssayError('UNAVAILABLE', message, { cause }));
      }
    }
    await round.trx.rollback().execute();
    return false;
  }

  async function commit({ trx, end }: Round<Tables>): Promise<void> {
    try {
      await trx.commit().execute();
    } catch (error) {
      await trx.rollback().execute();
      end.reject(error);
      throw error;
    }
    options.onCommit();
    end.resolve();
  }

  function passOn(round: Round<Tables>, endTurn: () => void): void {
    passedOn = round;
    endTurn();
  }

  return {
    async run(change, endTurn) {
      let round: Round<Tables>;
      try {
        round = await join();
      } catch (error) {
        endTurn();
        throw error;
      }
      let passesOn = false;
      let result: Awaited<ReturnType<typeof change>>;
      try {
        result = await change(round.trx);
        passesOn = isOpenToOthers(round);
        // A change that swallowed the error of a statement is refused here, and fails alone.
        if (passesOn || round.marked !== undefined) round.marked = await round.trx.savepoint(MARK).execute();
      } catch (error) {
        // The work of those before is kept; what becomes of it is told to them.
        if (!(await undo(round).catch(() => false))) endTurn();
        else if (isOpenToOthers(round)) passOn(round, endTurn);
        else
          await commit(round)
            .catch(() => undefined)
            .finally(endTurn);
        throw error;
      }
      if (passesOn) {
        passOn(round, endTurn);
        await round.end.promise;
      } else await commit(round).finally(endTurn);
      return result;
    },
  };
}
