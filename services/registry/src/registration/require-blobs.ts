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
 * @throws AssayError FAILED_PRECONDITION naming each missing one, INVALID_ARGUMENT for a wrong size
 */
export async function requireBlobs<File extends ListedFile>(
  blobs: BlobStore,
  files: readonly File[],
  nameOf: (file: File) => string,
  signal: AbortSignal,
): Promise<void> {
  const missing: ErrorDetail[] = [];
  const wrong: ErrorDetail[] = [];
  const look = async (file: File, i: number): Promise<void> => {
    const found = await blobs.head(blobKey(file.sha256), { signal });
    if (found === undefined) {
      missing.push({
        place: `files[${i}].sha256`,
        message: `the content of ${nameOf(file)} is not here`,
        expected: `PUT /v1/blobs/${file.sha256} before`,
      });
    } else if (found.sizeBytes !== file.sizeBytes) {
      wrong.push({
        place: `files[${i}].sizeBytes`,
        message: `${nameOf(file)} has ${found.sizeBytes} bytes, not ${file.sizeBytes}`,
        expected: `${found.sizeBytes}`,
      });
    }
  };
  for (let from = 0; from < files.length; from += AT_ONCE) {
    signal.throwIfAborted();
    await Promise.all(files.slice(from, from + AT_ONCE).map((file, i) => look(file, from + i)));
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
