/**
 * Artifacts: a tree of files by path, their contents in the blob store. A content that is stored is never written again,
 * so that several paths may name it: a version keeps the files that it was made from when their run's are replaced.
 */
import { randomUUID } from 'node:crypto';
import type { BlobStore } from '@assay/blobs';
import { AssayError, type PackageFile } from '@assay/contracts';
import { blobKey } from '../../registration/blob-keys.ts';
import { settleClaim, withClaim } from '../../store/blob-claims.ts';
import type { Store } from '../../store/change.ts';
import { fromJson, type Queryable } from '../../store/tables.ts';
import { foldersOf, nameOf, parentOf } from '../artifact-path.ts';
import { invalid, missing } from '../errors.ts';
import type { ArtifactsTable } from './mlflow-tables.ts';
import { isInVersion, versionIdOf, versionRoot } from './version-files.ts';

export interface ArtifactFile {
  readonly path: string;
  readonly blobKey: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface ArtifactEntry {
  readonly name: string;
  readonly isFolder: boolean;
  readonly sizeBytes: number;
}

/** Of one folder, and of one version. More than a model has; a listing has no pages in MLflow's protocol. */
const MAX_ENTRIES = 50_000;
const MAX_FILES_OF_VERSION = 10_000;

/**
 * Stores `body` at `path`, in place of the file there. Streamed; memory does not grow with it.
 * @throws AssayError INVALID_ARGUMENT where a folder has that path, or a file the path of a folder of it; PAYLOAD_TOO_LARGE
 */
export async function putArtifact(
  parts: { readonly store: Store; readonly blobs: BlobStore },
  path: string,
  body: AsyncIterable<Uint8Array>,
  options: { readonly maxSizeBytes: number; readonly signal: AbortSignal },
): Promise<void> {
  refuseInVersion(path);
  const { store, blobs } = parts;
  const id = randomUUID().replaceAll('-', '');
  const key = `artifacts/${id.slice(0, 2)}/${id}`;
  return withClaim(store.database, [key], async (claim) => {
    const stored = await blobs.put(key, body, options);
    let unused: string[] = [];
    try {
      await store.database.transaction(async (trx) => {
        await addFolders(trx, path);
        const before = await findRow(trx, path);
        if (before !== undefined && before.blob_key === null) throw invalid('path', `"${path}" is a folder`);
        const row: ArtifactsTable = {
          path,
          parent: parentOf(path),
          blob_key: key,
          sha256: stored.sha256,
          size_bytes: stored.sizeBytes,
          created_at: Date.now(),
        };
        await trx
          .insertInto('mlflow_artifacts')
          .values(row)
          .onConflict((conflict) => conflict.column('path').doUpdateSet(row))
          .execute();
        await settleClaim(trx, claim);
        unused = before?.blob_key == null ? [] : await unnamed(trx, [before.blob_key]);
      });
    } catch (error) {
      // Where the connection was lost during the commit it may be named now. What nothing names is collected later.
      if (AssayError.from(error).code !== 'UNAVAILABLE') unused = [key];
      throw error;
    } finally {
      for (const each of unused) await blobs.delete(each);
    }
  });
}

/** @throws AssayError NOT_FOUND */
export async function requireFile(db: Queryable, path: string): Promise<ArtifactFile> {
  const row = await findRow(db, path);
  if (row !== undefined) {
    const file = fileOf(row);
    if (file === undefined) throw missing(`"${path}" is a folder; list it, and get its files`);
    return file;
  }
  const file = (await packageFilesAt(db, path)).find((one) => one.path === path);
  if (file === undefined) throw missing(`there is no artifact "${path}"`);
  return file;
}

/** What is in a folder, by name; empty for one that is not there, as MLflow's clients expect. */
export async function listFolder(db: Queryable, path: string): Promise<ArtifactEntry[]> {
  const rows = await db
    .selectFrom('mlflow_artifacts')
    .selectAll()
    .where('parent', '=', path)
    .orderBy('path')
    .limit(MAX_ENTRIES + 1)
    .execute();
  if (rows.length > MAX_ENTRIES) {
    throw new AssayError(
      'PAYLOAD_TOO_LARGE',
      `"${path}" holds more than ${MAX_ENTRIES} entries; get them by their paths`,
    );
  }
  if (rows.length > 0) {
    return rows.map((row) => ({ name: nameOf(row.path), isFolder: row.blob_key === null, sizeBytes: row.size_bytes }));
  }
  const entries = new Map<string, ArtifactEntry>();
  for (const file of await packageFilesAt(db, path)) {
    if (!file.path.startsWith(`${path}/`)) continue;
    const [name = '', ...below] = file.path.slice(path.length + 1).split('/');
    const isFolder = below.length > 0;
    entries.set(name, { name, isFolder, sizeBytes: isFolder ? 0 : file.sizeBytes });
  }
  return [...entries.values()];
}

/** Whether there is a file of that path; a folder has none. */
export async function isFile(db: Queryable, path: string): Promise<boolean> {
  return (await findRow(db, path))?.blob_key != null;
}

/** A folder with all in it, in a larger change; contents that nothing names any more are collected. */
export async function forgetFolder(trx: Queryable, folder: string): Promise<void> {
  await trx
    .deleteFrom('mlflow_artifacts')
    .where(...inFolder(folder)[0])
    .where(...inFolder(folder)[1])
    .execute();
  await trx.deleteFrom('mlflow_artifacts').where('path', '=', folder).execute();
}

/** Removes a file, or a folder with all in it. @throws AssayError NOT_FOUND */
export async function deleteArtifact(
  parts: { readonly store: Store; readonly blobs: BlobStore },
  path: string,
): Promise<void> {
  refuseInVersion(path);
  const unused = await parts.store.database.transaction(async (trx) => {
    const row = await findRow(trx, path);
    if (row === undefined) throw missing(`there is no artifact "${path}"`);
    const below = await trx
      .selectFrom('mlflow_artifacts')
      .select('blob_key')
      .where(...inFolder(path)[0])
      .where(...inFolder(path)[1])
      .execute();
    await forgetFolder(trx, path);
    const keys = [row, ...below].flatMap(({ blob_key }) => (blob_key === null ? [] : [blob_key]));
    return unnamed(trx, keys);
  });
  for (const key of unused) await parts.blobs.delete(key);
}

/** All files in a folder, and in the folders of it. @throws AssayError INVALID_ARGUMENT for more than a version has */
export async function filesIn(db: Queryable, folder: string): Promise<ArtifactFile[]> {
  const rows = await db
    .selectFrom('mlflow_artifacts')
    .selectAll()
    .where(...inFolder(folder)[0])
    .where(...inFolder(folder)[1])
    .where('blob_key', 'is not', null)
    .orderBy('path')
    .limit(MAX_FILES_OF_VERSION + 1)
    .execute();
  if (rows.length > MAX_FILES_OF_VERSION) {
    throw invalid('source', `holds more than ${MAX_FILES_OF_VERSION} files, which no model does`);
  }
  if (rows.length === 0) return packageFilesAt(db, folder);
  return rows.flatMap((row) => fileOf(row) ?? []);
}

/** The files of `from` are those of the version, too, from now on. */
export async function keepForVersion(trx: Queryable, from: string, versionId: string): Promise<number> {
  const root = versionRoot(versionId);
  const files = await filesIn(trx, from);
  const folders = new Set<string>();
  for (const file of files) {
    const path = root + file.path.slice(from.length);
    for (const folder of foldersOf(path)) folders.add(folder);
    await trx
      .insertInto('mlflow_artifacts')
      .values({
        path,
        parent: parentOf(path),
        blob_key: file.blobKey,
        sha256: file.sha256,
        size_bytes: file.sizeBytes,
        created_at: Date.now(),
      })
      .execute();
  }
  for (const folder of folders) await addFolder(trx, folder);
  return files.length;
}

/** The files of a version that came as a package: they are in no folder of this tree, and read as if they were. */
async function packageFilesAt(db: Queryable, path: string): Promise<ArtifactFile[]> {
  const versionId = versionIdOf(path);
  if (versionId === undefined) return [];
  const row = await db
    .selectFrom('versions')
    .select('files')
    .where('id', '=', versionId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  return fromJson<PackageFile[]>(row?.files ?? '[]').map((file) => ({
    path: `${versionRoot(versionId)}/${file.path}`,
    blobKey: blobKey(file.sha256),
    sha256: file.sha256,
    sizeBytes: file.sizeBytes,
  }));
}

/** Everything below a folder is one range of the key: "/" is followed by "0". */
function inFolder(folder: string) {
  return [
    ['path', '>', `${folder}/`],
    ['path', '<', `${folder}0`],
  ] as const;
}

function refuseInVersion(path: string): void {
  if (!isInVersion(path)) return;
  throw new AssayError('PERMISSION_DENIED', `"${path}": the files of a version never change; register another version`);
}

async function addFolders(trx: Queryable, path: string): Promise<void> {
  for (const folder of foldersOf(path)) {
    const row = await findRow(trx, folder);
    if (row === undefined) await addFolder(trx, folder);
    else if (row.blob_key !== null) throw invalid('path', `"${folder}" is a file`, 'a folder, to put something into');
  }
}

async function addFolder(trx: Queryable, path: string): Promise<void> {
  await trx
    .insertInto('mlflow_artifacts')
    .values({ path, parent: parentOf(path), blob_key: null, sha256: null, size_bytes: 0, created_at: Date.now() })
    .onConflict((conflict) => conflict.column('path').doNothing())
    .execute();
}

/** Those of `keys` that no path names. A content that is named by none is never named again, so it may be deleted. */
async function unnamed(trx: Queryable, keys: readonly string[]): Promise<string[]> {
  const free: string[] = [];
  for (const key of new Set(keys)) {
    if (!key.startsWith('artifacts/')) continue; // the contents of packages have other names, too
    const other = await trx
      .selectFrom('mlflow_artifacts')
      .select('path')
      .where('blob_key', '=', key)
      .limit(1)
      .executeTakeFirst();
    if (other === undefined) free.push(key);
  }
  return free;
}

function findRow(db: Queryable, path: string): Promise<ArtifactsTable | undefined> {
  return db.selectFrom('mlflow_artifacts').selectAll().where('path', '=', path).executeTakeFirst();
}

function fileOf(row: ArtifactsTable): ArtifactFile | undefined {
  if (row.blob_key === null || row.sha256 === null) return undefined;
  return { path: row.path, blobKey: row.blob_key, sha256: row.sha256, sizeBytes: row.size_bytes };
}
