/** Which blobs the rows of a table name. A table whose rows name blobs must be here, or a backup would be without them. */
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

const BLOBS: Readonly<Record<string, (row: SnapshotRow) => BlobLine[]>> = {
  // What is deleted may be collected at any time; its row stays for the audit trail.
  versions: (row) => (row.deleted_at === null ? filesOf(row) : []),
  dataset_versions: filesOf,
  mlflow_artifacts: ({ blob_key: key, sha256, size_bytes: size }) =>
    key === null ? [] : [{ key: String(key), sha256: String(sha256), sizeBytes: Number(size) }],
};

export function namedBlobs(table: string, row: SnapshotRow): BlobLine[] {
  return BLOBS[table]?.(row) ?? [];
}

export const TABLES_WITH_BLOBS: readonly string[] = Object.keys(BLOBS);
