import { fileURLToPath } from 'node:url';
import { AssayError } from '@assay/contracts';
import type { BlobStore } from './blob-store.ts';

/**
 * Opens (and makes) a blob store.
 * @param url `file:/var/lib/assay/blobs`, `file:relative/folder`, `s3://bucket/prefix?region=eu-central-1` (with
 *   `endpoint=https://…` for other stores of that protocol) or `az://container/prefix`. Credentials are never in it: they
 *   come from the standard environment and files of AWS, and from `AZURE_STORAGE_CONNECTION_STRING`
 * @throws AssayError INVALID_ARGUMENT for an unknown url, FAILED_PRECONDITION or UNAVAILABLE where the folder, bucket or
 *   container cannot be used
 */
export async function openBlobStore(url: string): Promise<BlobStore> {
  // Drivers are loaded only when chosen.
  if (url.startsWith('s3://')) {
    const { openS3Store } = await import('./s3-store.ts');
    return openS3Store(url);
  }
  if (url.startsWith('az://')) {
    const { openAzureStore } = await import('./azure-store.ts');
    return openAzureStore(url);
  }
  const path = url.startsWith('file://') ? pathOfFileUrl(url) : /^file:(.+)$/.exec(url)?.[1];
  if (path === undefined || path.includes('\0')) {
    const scheme = /^[a-z0-9+]+:/.exec(url)?.[0] ?? url.slice(0, 20);
    throw new AssayError(
      'INVALID_ARGUMENT',
      `"${scheme}" is no blob store url; expected file:FOLDER, s3://BUCKET or az://CONTAINER`,
    );
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
