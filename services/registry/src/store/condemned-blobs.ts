/** Blobs that a collection is deleting. Why it does no harm is told in blob-claims.ts. */
import { AssayError } from '@assay/contracts';
import type { Database } from '@assay/database';
import type { CondemnedBlobsTable, Queryable, RegistryTables } from './tables.ts';

/** A collection sends no request to delete a blob later than this after it condemned it. */
export const DELETE_WITHIN_MS = 60_000;
/** A request that was sent has come to its end after this, whatever became of who sent it. */
export const SETTLED_AFTER_MS = 5 * 60_000;

export interface CondemnedBlob {
  readonly key: string;
  readonly sizeBytes: number;
}

/**
 * Begins to look which blobs are named: what is named from now on keeps its claim until the end.
 * @throws AssayError UNAVAILABLE where the lease is another's
 */
export function beginLooking(database: Database<RegistryTables>, owner: string): Promise<void> {
  return database.transaction(async (trx) => {
    await requireLease(trx, owner);
    await trx
      .deleteFrom('blob_claims')
      .where((eb) => eb.or([eb('is_named', '=', 1), eb('until_ms', '<=', Date.now())]))
      .execute();
    await trx.deleteFrom('condemned_blobs').where('settled_at', '<=', Date.now()).execute();
  });
}

/** @returns those that may be deleted: nobody claims them, and no artifact names them */
export function condemn(
  database: Database<RegistryTables>,
  owner: string,
  blobs: readonly CondemnedBlob[],
  settledAfterMs: number,
): Promise<CondemnedBlob[]> {
  return database.transaction(async (trx) => {
    await requireLease(trx, owner);
    const keys = blobs.map(({ key }) => key);
    const held = new Set([
      ...(await keysIn(trx, 'blob_claims', keys)),
      ...(await keysIn(trx, 'condemned_blobs', keys)),
      // A path may get the content of another path, without a claim: it is named before and after.
      ...(await keysIn(trx, 'mlflow_artifacts', keys)),
    ]);
    const free = blobs.filter(({ key }) => !held.has(key));
    const settled_at = Date.now() + settledAfterMs;
    const rows = free.map(({ key, sizeBytes }): CondemnedBlobsTable => {
      return { blob_key: key, size_bytes: sizeBytes, run_id: owner, settled_at };
    });
    if (rows.length > 0) await trx.insertInto('condemned_blobs').values(rows).execute();
    return free;
  });
}

/** Whether it is being deleted, so that it is as good as absent. */
export async function isCondemned(db: Queryable, key: string): Promise<boolean> {
  const row = await db.selectFrom('condemned_blobs').select('blob_key').where('blob_key', '=', key).executeTakeFirst();
  return row !== undefined;
}

/** They are gone: whoever wants them may put them again. */
export async function acquit(db: Queryable, owner: string, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  await db.deleteFrom('condemned_blobs').where('blob_key', 'in', keys).where('run_id', '=', owner).execute();
}

/** Takes over what a collection that was killed has condemned, and perhaps not deleted; the rows as they were. */
export function takeOver(
  database: Database<RegistryTables>,
  owner: string,
  settledAfterMs: number,
): Promise<CondemnedBlobsTable[]> {
  return database.transaction(async (trx) => {
    await requireLease(trx, owner);
    const rows = await trx.selectFrom('condemned_blobs').selectAll().orderBy('blob_key').execute();
    await trx
      .updateTable('condemned_blobs')
      .set({ run_id: owner, settled_at: Date.now() + settledAfterMs })
      .execute();
    return rows;
  });
}

/** They are gone; but what the other collection has sent may be on its way for as long as was said then. */
export async function leaveCondemned(
  db: Queryable,
  owner: string,
  rows: readonly CondemnedBlobsTable[],
): Promise<void> {
  for (const { blob_key, settled_at } of rows)
    await db
      .updateTable('condemned_blobs')
      .set({ settled_at })
      .where('blob_key', '=', blob_key)
      .where('run_id', '=', owner)
      .execute();
}

/** Gives the lease up. Every claim on what was named meanwhile has done its work. */
export function endCollection(database: Database<RegistryTables>, owner: string): Promise<void> {
  return database.transaction(async (trx) => {
    const { numUpdatedRows } = await trx
      .updateTable('collector')
      .set({ owner: null, until_ms: 0, ended_at: Date.now() })
      .where('owner', '=', owner)
      .executeTakeFirstOrThrow();
    if (numUpdatedRows > 0n) await trx.deleteFrom('blob_claims').where('is_named', '=', 1).execute();
  });
}

async function requireLease(trx: Queryable, owner: string): Promise<void> {
  const row = await trx.selectFrom('collector').select('owner').executeTakeFirstOrThrow();
  if (row.owner !== owner)
    throw new AssayError('UNAVAILABLE', 'another collection has begun; this one ends, and has done no harm');
}

async function keysIn(
  trx: Queryable,
  table: 'blob_claims' | 'condemned_blobs' | 'mlflow_artifacts',
  keys: readonly string[],
): Promise<string[]> {
  const rows = await trx.selectFrom(table).select('blob_key').distinct().where('blob_key', 'in', keys).execute();
  return rows.flatMap(({ blob_key }) => (blob_key === null ? [] : [blob_key]));
}
