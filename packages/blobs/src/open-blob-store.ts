import { fileURLToPath } from 'node:url';
import { AssayError } from '@assay/contracts';
import type { BlobStore } from './blob-store.ts';

/**
 * Opens (and makes) a blob store.
 * @param url `file:/var/lib/assay/blobs`, `file:relative/folder` or `file:///var/lib/assay/blobs`
 * @throws AssayError INVALID_ARGUMENT for an unknown url, FAILED_PRECONDITION or UNAVAILABLE where the folder cannot be used
 */
export async function openBlobStore(url: string): Promise<BlobStore> {
  const path = url.startsWith('file://') ? pathOfFileUrl(url) : /^file:(.+)$/.exec(url)?.[1];
  if (path === undefined || path.includes('\0')) {
    const scheme = /^[a-z0-9+]+:/.exec(url)?.[0] ?? url.slice(0, 20);
    throw new AssayError('INVALID_ARGUMENT', `"${scheme}" is no blob store url; expected file:FOLDER`);
  }
  const { openFileStore } = await import('./file-store.ts');
  return openFileStore(path);
}

function pathOfFileUrl(url: string): string | undefined {
  try {
    return fileURLToPath(url);
  } catch {
    return undefined; // refused by the caller, in its own words
  }
}
