/**
 * Which blobs the rows of a table name: what a backup holds, and what the garbage collector keeps. A table whose rows name
 * blobs must be here, or both would do without them.
 */
import type { SnapshotRow } from '@assay/database';
import { blobKey } from '../registration/blob-keys.ts';
import { fromJson } from '../store/tables.ts';
import type { BlobLine } from './manifest.ts';

/** What both a package and a dataset keep of a file. */
interface StoredFile {
  readonly sha256: string;
  readonly sizeBytes: number;
}

const filesOf = (row: SnapshotRow): BlobLine[] =>
  fromJson<StoredFile[]>(String(row.files)).map(({ sha256, sizeBytes }) => ({
    key: blobKey(sha256),
    sha256,
    sizeBytes,
  }));

const BLOBS = {
  // Of what is deleted as well: it can be restored as long as its row is there.
  versions: filesOf,
  dataset_versions: filesOf,
  mlflow_artifacts: ({ blob_key: key, sha256, size_bytes: size }) =>
    key === null ? [] : [{ key: String(key), sha256: String(sha256), sizeBytes: Number(size) }],
} as const satisfies Readonly<Record<string, (row: SnapshotRow) => BlobLine[]>>;

export type TableWithBlobs = keyof typeof BLOBS;

export const TABLES_WITH_BLOBS = Object.keys(BLOBS) as readonly TableWithBlobs[]; // keys of a constant object are its literal keys

export function namedBlobs(table: TableWithBlobs, row: SnapshotRow): BlobLine[] {
  return BLOBS[table](row);
}
