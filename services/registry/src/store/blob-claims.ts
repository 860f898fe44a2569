/**
 * How a registration that finds a content in the blob store already, and a collection that is about to delete that content,
 * keep out of each other's way. The store itself has no transactions; the database does, and they run one after another.
 *
 * - A *claim* is taken on the key of a blob before anybody looks whether the blob is there, and given up in the transaction
 *   that names it (`settleClaim`). That transaction fails where the claim is gone.
 * - A collection *condemns* the blobs that no row names, in a transaction that leaves out every key with a claim; only then
 *   it deletes them. A condemned key cannot be claimed: who wants it comes back, and finds it absent.
 *
 * So a blob that was seen under a claim is there until it is named, and a blob that is being deleted is never named. What is
 * named while a collection reads which blobs are named might be missed by it: such claims stay, marked, until it has ended.
 *
 * A collection that is killed leaves condemned keys, and perhaps a request to the store that is still on its way. It sends
 * none later than `DELETE_WITHIN_MS` after it condemned, and nobody puts that content again before `SETTLED_AFTER_MS`.
 */
import { AssayError } from '@assay/contracts';
import type { Database } from '@assay/database';
import { newId } from '@assay/runtime';
import type { Queryable, RegistryTables } from './tables.ts';

/** A registration that takes longer is told to begin again: its contents may be gone. */
export const REGISTRATION_CLAIM_MS = 60 * 60_000;
/** Of who has put a content and has not registered it yet. */
const PUT = 'put';
/** In one statement. */
export const KEYS_AT_ONCE = 500;

export interface BlobClaim {
  readonly id: string;
  readonly keys: readonly string[];
  /** It need not be given up. */
  isSettled: boolean;
}

/** Of what names no blob. */
export const NO_CLAIM: BlobClaim = { id: '', keys: [], isSettled: true };

type Writable = Pick<Database<RegistryTables>, 'transaction'>;

/**
 * Nobody deletes the blobs with these keys from now on, whether they are there or not yet.
 * @throws AssayError UNAVAILABLE while one of them is being deleted
 */
export async function claimBlobs(
  database: Writable,
  keys: readonly string[],
  forMs = REGISTRATION_CLAIM_MS,
): Promise<BlobClaim> {
  const claim = { id: newId('clm'), keys: [...new Set(keys)], isSettled: false };
  await insertClaim(database, claim, forMs);
  return claim;
}

/** A content that somebody puts; held for so long after, for them to register it. */
export function claimPut(database: Writable, key: string, forMs: number): Promise<void> {
  return insertClaim(database, { id: PUT, keys: [key] }, forMs);
}

async function insertClaim(
  database: Writable,
  { id, keys }: Omit<BlobClaim, 'isSettled'>,
  forMs: number,
): Promise<void> {
  if (keys.length === 0) return;
  await database.transaction(async (trx) => {
    const until_ms = Date.now() + forMs;
    for (const some of inChunks(keys)) {
      await refuseCondemned(trx, some);
      await trx
        .insertInto('blob_claims')
        .values(some.map((blob_key) => ({ blob_key, claim_id: id, until_ms, is_named: 0 })))
        .onConflict((conflict) => conflict.columns(['blob_key', 'claim_id']).doUpdateSet({ until_ms }))
        .execute();
    }
  });
}

async function refuseCondemned(trx: Queryable, keys: readonly string[]): Promise<void> {
  const rows = await trx.selectFrom('condemned_blobs').selectAll().where('blob_key', 'in', keys).execute();
  const now = Date.now();
  if (rows.some((row) => row.settled_at > now)) {
    throw new AssayError(
      'UNAVAILABLE',
      'a content of these files is being removed as unused; put it again in a moment',
    );
  }
  if (rows.length > 0) await trx.deleteFrom('condemned_blobs').where('blob_key', 'in', keys).execute();
}

/**
 * In the transaction that names the blobs.
 * @throws AssayError UNAVAILABLE where the claim has run out
 */
export async function settleClaim(trx: Queryable, claim: BlobClaim): Promise<void> {
  const { id, keys } = claim;
  if (keys.length === 0) return;
  const held = await trx
    .selectFrom('blob_claims')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('claim_id', '=', id)
    .executeTakeFirstOrThrow();
  if (Number(held.count) !== keys.length) {
    throw new AssayError(
      'UNAVAILABLE',
      'the registration took so long that its contents are not held any more; try again',
    );
  }
  claim.isSettled = true; // where the transaction fails after all, the claim runs out by itself
  const { owner, until_ms } = await trx.selectFrom('collector').selectAll().executeTakeFirstOrThrow();
  if (owner !== null && until_ms > Date.now()) {
    await trx.updateTable('blob_claims').set({ is_named: 1 }).where('claim_id', '=', id).execute();
    return;
  }
  // A collection that was killed would have such claims kept for ever; it finds here that it is none any more.
  if (owner !== null) await trx.updateTable('collector').set({ owner: null }).execute();
  await trx.deleteFrom('blob_claims').where('claim_id', '=', id).execute();
  for (const some of inChunks(keys)) {
    await trx.deleteFrom('blob_claims').where('blob_key', 'in', some).where('claim_id', '=', PUT).execute();
  }
}

/** Runs `register` under a claim on these blobs, which it settles, or which is given up. */
export async function withClaim<T>(
  database: Writable & Pick<Database<RegistryTables>, 'db'>,
  keys: readonly string[],
  register: (claim: BlobClaim) => Promise<T>,
): Promise<T> {
  const claim = await claimBlobs(database, keys);
  try {
    return await register(claim);
  } finally {
    if (!claim.isSettled) {
      await database.db
        .deleteFrom('blob_claims')
        .where('claim_id', '=', claim.id)
        .execute()
        .catch(() => undefined); // it runs out by itself
    }
  }
}

export function* inChunks<T>(all: readonly T[], size = KEYS_AT_ONCE): Generator<readonly T[]> {
  for (let from = 0; from < all.length; from += size) yield all.slice(from, from + size);
}
