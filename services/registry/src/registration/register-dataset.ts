/**
 * Registering a dataset version: its files are in the blob store, checked against their digests, before the one transaction
 * that makes the version visible. A process killed at any moment leaves either the whole version or nothing of it.
 */
import { AssayError, type CreateDatasetVersion, type DatasetVersion } from '@assay/contracts';
import { checkDataset, datasetDigest } from '../domain/dataset-rules.ts';
import { withClaim } from '../store/blob-claims.ts';
import type { Actor } from '../store/change.ts';
import { insertDatasetVersion } from '../store/dataset-registration.ts';
import { blobKey } from './blob-keys.ts';
import type { Registration } from './register-version.ts';
import { requireBlobs } from './require-blobs.ts';

/**
 * @returns the version, and whether it was made now (an idempotency key gives the one that it gave before; a table that is
 *   the newest version already, and of which nothing else is said, is that version)
 * @throws AssayError INVALID_ARGUMENT, ALREADY_EXISTS (the key gave another table), FAILED_PRECONDITION (a file was not put)
 */
export async function registerDataset(
  { store, blobs }: Pick<Registration, 'store' | 'blobs'>,
  actor: Actor,
  name: string,
  body: CreateDatasetVersion,
  signal: AbortSignal,
): Promise<{ version: DatasetVersion; created: boolean }> {
  checkDataset(body);
  const totalBytes = body.files.reduce((sum, file) => sum + file.sizeBytes, 0);
  if (!Number.isSafeInteger(totalBytes)) {
    throw new AssayError('INVALID_ARGUMENT', 'files: together they have more bytes than can be counted');
  }
  const keys = body.files.map(({ sha256 }) => blobKey(sha256));
  return withClaim(store.database, keys, async (claim) => {
    await requireBlobs(blobs, body.files, (file) => file.name, signal);
    signal.throwIfAborted();
    return insertDatasetVersion(store, actor, name, { body, digest: datasetDigest(body), claim });
  });
}
