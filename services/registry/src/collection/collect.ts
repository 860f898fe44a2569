/**
 * One collection: rows that were deleted longer ago than the retention go, then the blobs that no row names and that are
 * older than the grace. Killed anywhere it leaves nothing that is named without its blob, and the next one goes on: rows go
 * before their blobs, and a blob is condemned in the database before it is deleted (store/blob-claims.ts says why that is
 * enough). A backup that runs beside it notices that a blob went, and begins again.
 */
import { randomUUID } from 'node:crypto';
import type { BlobStore, ListedBlob } from '@assay/blobs';
import { AssayError, type Collection, MAX_COLLECTED_ITEMS } from '@assay/contracts';
import { leaseRow, withLease } from '@assay/events';
import type { Logger } from '@assay/runtime';
import { inChunks } from '../store/blob-claims.ts';
import type { Actor, Store } from '../store/change.ts';
import {
  acquit,
  beginLooking,
  condemn,
  DELETE_WITHIN_MS,
  endCollection,
  leaveCondemned,
  SETTLED_AFTER_MS,
  takeOver,
} from '../store/condemned-blobs.ts';
import { type ExpiredRow, expiredRows } from '../store/expired.ts';
import { purge, purgeMetrics } from '../store/purge.ts';
import { namedKeys } from './named-keys.ts';

/** What is not below these (checkpoints of the audit chain, for one) is nobody's garbage. */
const PREFIXES = ['sha256/', 'artifacts/'];
const BLOBS_AT_ONCE = 100;
const DELETES_AT_ONCE = 8;
const TIMES: CollectionTimes = { leaseMs: 30_000, settledAfterMs: SETTLED_AFTER_MS };

export interface CollectorParts {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly log: Logger;
}

export interface CollectionTimes {
  /** How long a collection that was killed holds up the next one at most. */
  readonly leaseMs: number;
  /** How long a content is not taken again after a collection was killed while it deleted it. */
  readonly settledAfterMs: number;
}

export interface CollectOptions {
  readonly actor: Actor;
  readonly retentionMs: number;
  readonly graceMs: number;
  readonly signal: AbortSignal;
  readonly times?: CollectionTimes;
}

/** What a collection would do now; nothing is changed. */
export async function planCollection(parts: CollectorParts, options: CollectOptions): Promise<Collection> {
  const { db } = parts.store.database;
  const report = newReport(options, false);
  const rows: ExpiredRow[] = [];
  for await (const row of expiredRows(db, report.startedAt - options.retentionMs)) rows.push(row);
  addRows(report, rows);
  const ids = new Set(rows.map(({ id }) => id));
  const folders = new Set(rows.flatMap(({ folder }) => folder ?? []));
  const named = await namedKeys(db, { ids, folders }, options.signal);
  for await (const some of unnamedBlobs(parts.blobs, named, report, options)) {
    const claims = await db
      .selectFrom('blob_claims')
      .select('blob_key')
      .where('until_ms', '>', Date.now())
      .where(
        'blob_key',
        'in',
        some.map(({ key }) => key),
      )
      .execute();
    const held = new Set(claims.map(({ blob_key }) => blob_key));
    for (const blob of some) {
      if (held.has(blob.key)) add(report.kept.young, blob);
      else addBlob(report, blob);
    }
  }
  return report;
}

/**
 * @throws AssayError UNAVAILABLE while another collection is under way; FAILED_PRECONDITION where the database cannot be
 *   the one that belongs to the blobs
 */
export async function collect(parts: CollectorParts, options: CollectOptions): Promise<Collection> {
  const { database } = parts.store;
  await refuseEmptyDatabase(parts.store);
  const owner = randomUUID();
  const { leaseMs } = options.times ?? TIMES;
  const report = newReport(options, true);
  const lease = leaseRow(database.db, 'collector');
  const isHeld = await withLease(lease, { owner, leaseMs, signal: options.signal, log: parts.log }, async (signal) => {
    try {
      await collectAll(parts, { ...options, signal }, { owner, report });
      await endCollection(database, owner);
    } catch (error) {
      await lease.release(owner).catch(() => undefined); // it runs out by itself
      throw error;
    }
  });
  if (!isHeld) throw new AssayError('UNAVAILABLE', 'a collection is under way; try again when it has ended');
  return report;
}

async function collectAll(
  parts: CollectorParts,
  options: CollectOptions,
  { owner, report }: { readonly owner: string; readonly report: Collection },
): Promise<void> {
  const { store, blobs } = parts;
  const { database } = store;
  const { signal, times: { settledAfterMs } = TIMES } = options;
  const before = report.startedAt - options.retentionMs;
  for (;;) {
    // What goes may be what kept something else: a version its run.
    const rows: ExpiredRow[] = [];
    for await (const row of expiredRows(database.db, before)) rows.push(row);
    const gone = await purge(store, options.actor, rows, before, signal);
    addRows(report, gone);
    if (gone.length === 0) break;
  }
  await purgeMetrics(database.db, signal);

  await beginLooking(database, owner);
  let sendUntil = Date.now() + DELETE_WITHIN_MS;
  const left = await takeOver(database, owner, settledAfterMs);
  for (const some of inChunks(left, BLOBS_AT_ONCE)) {
    await deleteBlobs(
      blobs,
      some.map(({ blob_key: key }) => key),
      { sendUntil, signal },
    );
    await leaveCondemned(database.db, owner, some);
  }
  const named = await namedKeys(database.db, { ids: new Set(), folders: new Set() }, signal);
  for await (const some of unnamedBlobs(blobs, named, report, options)) {
    sendUntil = Date.now() + DELETE_WITHIN_MS; // from before it is condemned: whatever freezes this process meanwhile
    const free = await condemn(database, owner, some, settledAfterMs);
    const keys = new Set(free.map(({ key }) => key));
    await deleteBlobs(blobs, [...keys], { sendUntil, signal });
    await acquit(database.db, owner, [...keys]);
    for (const blob of some) {
      if (keys.has(blob.key)) addBlob(report, blob);
      else add(report.kept.young, blob);
    }
  }
}

/** Those that no row names and that are older than the grace, some at a time; counts the others. */
async function* unnamedBlobs(
  blobs: BlobStore,
  named: ReadonlySet<string>,
  report: Collection,
  { graceMs, signal }: CollectOptions,
): AsyncGenerator<readonly ListedBlob[]> {
  let some: ListedBlob[] = [];
  for (const prefix of PREFIXES) {
    for await (const blob of blobs.list(prefix, { signal })) {
      if (named.has(blob.key)) add(report.kept.named, blob);
      else if (blob.modifiedAtMs > report.startedAt - graceMs) add(report.kept.young, blob);
      else some.push(blob);
      if (some.length < BLOBS_AT_ONCE) continue;
      yield some;
      some = [];
    }
  }
  if (some.length > 0) yield some;
}

async function deleteBlobs(
  blobs: BlobStore,
  keys: readonly string[],
  { sendUntil, signal }: { readonly sendUntil: number; readonly signal: AbortSignal },
): Promise<void> {
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(Math.max(0, sendUntil - Date.now()))]);
  const waiting = [...keys];
  const deleteNext = async (): Promise<void> => {
    for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
      inTime.throwIfAborted();
      // A process that was frozen runs this before its timers.
      if (Date.now() >= sendUntil) throw new AssayError('UNAVAILABLE', 'the blob store was too slow; collect again');
      await blobs.delete(key, { signal: inTime });
    }
  };
  await Promise.all(Array.from({ length: Math.min(DELETES_AT_ONCE, keys.length) }, deleteNext));
}

/** A registry that was pointed at an empty database by mistake would take every blob for garbage. */
async function refuseEmptyDatabase({ database }: Store): Promise<void> {
  const entry = await database.db.selectFrom('audit').select('sequence').limit(1).executeTakeFirst();
  if (entry !== undefined) return;
  throw new AssayError(
    'FAILED_PRECONDITION',
    'nothing was ever registered in this database, so that it cannot tell which blobs are needed; check databaseUrl and blobsUrl',
  );
}

function newReport({ retentionMs, graceMs }: CollectOptions, deleted: boolean): Collection {
  const none = () => ({ count: 0, sizeBytes: 0 });
  return {
    ...{ deleted, startedAt: Date.now(), retentionMs, graceMs, rowCount: 0, rows: [] },
    ...{ blobs: none(), blobItems: [], kept: { named: none(), young: none() } },
  };
}

function addRows(report: Collection, rows: readonly ExpiredRow[]): void {
  report.rowCount += rows.length;
  const room = MAX_COLLECTED_ITEMS - report.rows.length;
  report.rows.push(...rows.slice(0, room).map(({ kind, id, name, deletedAt }) => ({ kind, id, name, deletedAt })));
}

function addBlob(report: Collection, { key, sizeBytes, modifiedAtMs }: ListedBlob): void {
  add(report.blobs, { sizeBytes });
  if (report.blobItems.length < MAX_COLLECTED_ITEMS)
    report.blobItems.push({ key, sizeBytes, modifiedAt: Math.round(modifiedAtMs) });
}

function add(to: { count: number; sizeBytes: number }, { sizeBytes }: { readonly sizeBytes: number }): void {
  to.count += 1;
  to.sizeBytes += sizeBytes;
}
