/** A lease as the one row of a table. */
import type { LeaseStore } from '@assay/events';
import type { Queryable } from './tables.ts';

export function leaseRow(db: Queryable, table: 'webhook_lease' | 'collector') {
  const update = () => db.updateTable(table).where('singleton', '=', 1);
  const changed = (result: { numUpdatedRows: bigint }): boolean => result.numUpdatedRows > 0n;
  return {
    acquire: async (owner: string, untilMs: number) =>
      changed(
        await update()
          .set({ owner, until_ms: untilMs })
          .where((e) => e.or([e('owner', 'is', null), e('owner', '=', owner), e('until_ms', '<=', Date.now())]))
          .executeTakeFirst(),
      ),
    renew: async (owner: string, untilMs: number) =>
      changed(await update().set({ until_ms: untilMs }).where('owner', '=', owner).executeTakeFirst()),
    release: async (owner: string) =>
      changed(await update().set({ owner: null, until_ms: 0 }).where('owner', '=', owner).executeTakeFirst()),
  } satisfies LeaseStore & Record<string, unknown>;
}
