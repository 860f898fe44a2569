/** A lease as a table of one row with the columns `owner` (null: nobody's) and `until_ms`. */
import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { LeaseStore } from './lease.ts';

export interface LeaseRow extends LeaseStore {
  /** Gives it up if it is still `owner`'s. */
  release(owner: string): Promise<boolean>;
}

export function leaseRow<Tables>(db: Kysely<Tables>, table: keyof Tables & string): LeaseRow {
  const row = sql.table(table);
  const changes = async (update: RawBuilder<unknown>): Promise<boolean> =>
    ((await update.execute(db)).numAffectedRows ?? 0n) > 0n;
  return {
    acquire: (owner, untilMs) =>
      changes(sql`update ${row} set owner = ${owner}, until_ms = ${untilMs}
        where owner is null or owner = ${owner} or until_ms <= ${Date.now()}`),
    renew: (owner, untilMs) => changes(sql`update ${row} set until_ms = ${untilMs} where owner = ${owner}`),
    release: (owner) => changes(sql`update ${row} set owner = null, until_ms = 0 where owner = ${owner}`),
  };
}
