/**
 * Backs a registry up while it runs: first its rows, all of one moment, then every blob that they name. Blobs never change,
 * so that what is written meanwhile does no harm; one that was deleted meanwhile makes it begin again, with rows of a later
 * moment that do not name it. Nothing is locked, and no writer waits.
 */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type BlobStore, openBlobStore } from '@assay/blobs';
import { AssayError, parse } from '@assay/contracts';
import { type DatabaseSnapshot, openSnapshot } from '@assay/database';
import { ASSAY_VERSION } from '@assay/runtime';
import { readLines, type WrittenLines, writeLines } from './lines.ts';
import { type BackupManifest, BlobLine, FORMAT_VERSION, pathsIn } from './manifest.ts';
import { namedBlobs, TABLES_WITH_BLOBS } from './named-blobs.ts';

/** Where a registry keeps what it has. */
export interface RegistryPlaces {
  readonly databaseUrl: string;
  readonly blobs: BlobStore;
}

/** Each begins anew because blobs were deleted while they were copied; more often than this in a row is no accident. */
const MAX_SNAPSHOTS = 5;

/**
 * @param target a folder that does not exist yet; it does when, and only when, the backup is whole
 * @throws AssayError ALREADY_EXISTS, NOT_FOUND (no database), UNAVAILABLE
 */
export async function writeBackup(
  places: RegistryPlaces,
  target: string,
  signal: AbortSignal,
): Promise<BackupManifest> {
  const dir = resolve(target);
  if (await exists(dir)) throw new AssayError('ALREADY_EXISTS', `${dir} exists; name a folder that does not`);
  const partial = `${dir}.partial`; // what an earlier one left when it was killed
  await rm(partial, { recursive: true, force: true });
  try {
    const manifest = await writeWhole(places, partial, signal);
    await rename(partial, dir);
    await syncFolder(dirname(dir));
    return manifest;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

async function writeWhole(places: RegistryPlaces, dir: string, signal: AbortSignal): Promise<BackupManifest> {
  const paths = pathsIn(dir);
  const copies = await openBlobStore(paths.blobsUrl);
  for (let snapshots = 1; ; snapshots += 1) {
    const createdAt = new Date().toISOString();
    await rm(dirname(paths.table('any')), { recursive: true, force: true });
    await rm(paths.blobList, { force: true });
    await mkdir(dirname(paths.table('any')), { recursive: true });
    const rows = await writeRows(places.databaseUrl, dir, signal);
    const copied = await copyBlobs(places.blobs, copies, readBlobList(dir, rows.blobList.sha256), signal);
    if (copied.missing === undefined) {
      const { count, sizeBytes } = copied;
      const blobs = { count, sizeBytes, sha256: rows.blobList.sha256 };
      const { migrations, tables, audit } = rows;
      const manifest = {
        formatVersion: FORMAT_VERSION,
        createdAt,
        assayVersion: ASSAY_VERSION,
        migrations,
        tables,
        blobs,
        audit,
      } as const;
      await writeDurably(paths.manifest, `${JSON.stringify(manifest, null, 2)}\n`);
      return manifest;
    }
    if (snapshots === MAX_SNAPSHOTS) {
      throw new AssayError(
        'FAILED_PRECONDITION',
        `the blob ${copied.missing} is named by the database and is not in the blob store; the store has lost it, or blobs are deleted faster than they are copied`,
      );
    }
  }
}

async function writeRows(databaseUrl: string, dir: string, signal: AbortSignal) {
  const paths = pathsIn(dir);
  await using snapshot = await openSnapshot(databaseUrl);
  if (snapshot.migrations.length === 0)
    throw new AssayError('NOT_FOUND', 'the database is empty; there is nothing to back up');
  const tables: BackupManifest['tables'] = [];
  for (const name of snapshot.tables) {
    const { lines, sha256 } = await writeLines(paths.table(name), until(signal, snapshot.rows(name)));
    tables.push({ name, rows: lines, sha256 });
  }
  const blobList: WrittenLines = await writeLines(paths.blobList, until(signal, blobsOf(snapshot)));
  let audit = { entries: 0, headHash: '' };
  for await (const row of snapshot.rows('audit_head'))
    audit = { entries: Number(row.sequence), headHash: String(row.hash) };
  return { migrations: [...snapshot.migrations], tables, blobList, audit };
}

async function* blobsOf(snapshot: DatabaseSnapshot): AsyncGenerator<BlobLine> {
  for (const table of TABLES_WITH_BLOBS) {
    if (!snapshot.tables.includes(table)) continue; // of a schema that is older
    for await (const row of snapshot.rows(table)) yield* namedBlobs(table, row);
  }
}

export async function* readBlobList(dir: string, sha256: string): AsyncGenerator<BlobLine> {
  for await (const line of readLines(pathsIn(dir).blobList, sha256)) yield parse(BlobLine, line, 'blobs.ndjson');
}

/** Copies what `to` does not have yet; the digest of each is checked on the way. Ends at the first that `from` has not. */
export async function copyBlobs(
  from: BlobStore,
  to: BlobStore,
  list: AsyncIterable<BlobLine>,
  signal: AbortSignal,
): Promise<{ count: number; sizeBytes: number; missing?: string }> {
  let [count, sizeBytes] = [0, 0];
  for await (const blob of list) {
    signal.throwIfAborted();
    count += 1;
    sizeBytes += blob.sizeBytes;
    if ((await to.head(blob.key, { signal })) !== undefined) continue;
    try {
      const { body } = await from.get(blob.key, { signal });
      await to.put(blob.key, body, { sha256: blob.sha256, signal });
    } catch (error) {
      if (AssayError.from(error).code === 'NOT_FOUND') return { count, sizeBytes, missing: blob.key };
      throw error;
    }
  }
  return { count, sizeBytes };
}

async function* until<T>(signal: AbortSignal, values: AsyncIterable<T>): AsyncGenerator<T> {
  for await (const value of values) {
    signal.throwIfAborted();
    yield value;
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  await using file = await open(path, 'wx');
  await file.writeFile(text);
  await file.sync();
}

async function syncFolder(dir: string): Promise<void> {
  await using folder = await open(dir, 'r');
  await folder.sync();
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
