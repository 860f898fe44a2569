/**
 * Staging: the folder in which a package is put together from its blobs to be checked. Nothing of it is ever part of a
 * version; what a killed process left there is removed at the next start.
 */
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BlobStore } from '@assay/blobs';
import { AssayError, type PackageFile } from '@assay/contracts';
import { blobKey } from './blob-keys.ts';

/** Empties the staging folder. Only one process works in a data folder. */
export async function clearStaging(stagingDir: string): Promise<void> {
  await rm(stagingDir, { recursive: true, force: true });
  await mkdir(stagingDir, { recursive: true });
}

/** Runs `check` on a folder that holds these files; the folder is gone when it returns. */
export async function withStaged<T>(
  parts: { readonly blobs: BlobStore; readonly stagingDir: string },
  files: readonly PackageFile[],
  signal: AbortSignal,
  check: (dir: string) => Promise<T>,
): Promise<T> {
  const dir = await mkdtemp(join(parts.stagingDir, 'package-'));
  try {
    for (const file of files) {
      const path = join(dir, ...file.path.split('/'));
      await mkdir(dirname(path), { recursive: true });
      const blob = await parts.blobs.get(blobKey(file.sha256), { signal });
      await pipeline(Readable.from(blob.body, { objectMode: false }), createWriteStream(path, { flags: 'wx' }), {
        signal,
      });
    }
    return await check(dir);
  } catch (error) {
    throw clearly(error);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function clearly(error: unknown): unknown {
  const isFull = error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
  if (!isFull) return error;
  return new AssayError(
    'UNAVAILABLE',
    'the disk is full; the package cannot be put together to be checked. Free some space',
    {
      cause: error,
    },
  );
}
