/** The keys of all blobs that rows name, read a page at a time: some hundred bytes of memory each. */
import type { SnapshotRow } from '@assay/database';
import { namedBlobs, TABLES_WITH_BLOBS, type TableWithBlobs } from '../backup/named-blobs.ts';
import { foldersOf } from '../mlflow/artifact-path.ts';
import type { Queryable } from '../store/tables.ts';

const PAGE = 500;

/** What is named, as if the rows of these ids and the artifacts in these folders were gone already. */
export async function namedKeys(
  db: Queryable,
  without: { readonly ids: ReadonlySet<string>; readonly folders: ReadonlySet<string> },
  signal: AbortSignal,
): Promise<Set<string>> {
  const keys = new Set<string>();
  for (const table of TABLES_WITH_BLOBS) {
    for (let after = ''; ; ) {
      signal.throwIfAborted();
      const rows = await READERS[table](db, after);
      for (const row of rows) {
        after = String(row.id);
        if (without.ids.has(after) || foldersOf(after).some((folder) => without.folders.has(folder))) continue;
        for (const { key } of namedBlobs(table, row)) keys.add(key);
      }
      if (rows.length < PAGE) break;
    }
  }
  return keys;
}

/** What names blobs, and what the row is called as `id`. */
const READERS: Readonly<Record<TableWithBlobs, (db: Queryable, after: string) => Promise<SnapshotRow[]>>> = {
  versions: (db, after) =>
    db.selectFrom('versions').select(['id', 'files']).where('id', '>', after).orderBy('id').limit(PAGE).execute(),
  dataset_versions: (db, after) =>
    db
      .selectFrom('dataset_versions')
      .select(['id', 'files'])
      .where('id', '>', after)
      .orderBy('id')
      .limit(PAGE)
      .execute(),
  mlflow_artifacts: (db, after) =>
    db
      .selectFrom('mlflow_artifacts')
      .select(['path as id', 'blob_key', 'sha256', 'size_bytes'])
      .where('path', '>', after)
      .orderBy('path')
      .limit(PAGE)
      .execute(),
};
