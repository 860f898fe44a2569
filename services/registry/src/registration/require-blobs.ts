/** What a version is made of must be in the blob store before the version is. */
import type { BlobStore } from '@assay/blobs';
import { AssayError, type ErrorDetail } from '@assay/contracts';
import { blobKey } from './blob-keys.ts';

/** A file of a version, whatever its list calls it. */
export interface ListedFile {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** A store across a network answers each in some ten milliseconds; a dataset has thousands. */
const AT_ONCE = 16;
/** More do not help a reader. */
const MAX_DETAILS = 20;

/**
 * Every file must have been put, with the size that the list says. Its bytes were checked against its digest then.
 * @param nameOf what the list calls the file
 * @throws AssayError FAILED_PRECONDITION naming each missing one in the order of the list, INVALID_ARGUMENT for a wrong size
 */
export async function requireBlobs<File extends ListedFile>(
  blobs: BlobStore,
  files: readonly File[],
  nameOf: (file: File) => string,
  signal: AbortSignal,
): Promise<void> {
  const missing: ErrorDetail[] = [];
  const wrong: ErrorDetail[] = [];
  for (let from = 0; from < files.length; from += AT_ONCE) {
    signal.throwIfAborted();
    const some = files.slice(from, from + AT_ONCE);
    const found = await Promise.all(some.map(({ sha256 }) => blobs.head(blobKey(sha256), { signal })));
    for (const [i, file] of some.entries()) {
      const sizeBytes = found[i]?.sizeBytes;
      if (sizeBytes === undefined) {
        missing.push({
          place: `files[${from + i}].sha256`,
          message: `the content of ${nameOf(file)} is not here`,
          expected: `PUT /v1/blobs/${file.sha256} before`,
        });
      } else if (sizeBytes !== file.sizeBytes) {
        wrong.push({
          place: `files[${from + i}].sizeBytes`,
          message: `${nameOf(file)} has ${sizeBytes} bytes, not ${file.sizeBytes}`,
          expected: `${sizeBytes}`,
        });
      }
    }
  }
  const [first] = missing;
  if (first) {
    const more = missing.length > 1 ? ` (and ${missing.length - 1} more)` : '';
    throw new AssayError(
      'FAILED_PRECONDITION',
      `${first.place}: ${first.message}${more}; put it first: ${first.expected}`,
      { details: missing.slice(0, MAX_DETAILS) },
    );
  }
  const [mistake] = wrong;
  if (mistake) {
    throw new AssayError('INVALID_ARGUMENT', `${mistake.place}: ${mistake.message}`, {
      details: wrong.slice(0, MAX_DETAILS),
    });
  }
}
