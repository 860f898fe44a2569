/**
 * Where the Parquet files are: a folder that other programs can read as it is, or a blob store. A file is whole or absent:
 * it is written beside, synced, and then gets its name.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type BlobStore, openBlobStore } from '@assay/blobs';
import { AssayError } from '@assay/contracts';
import { newId } from '@assay/runtime';

export interface FileStore {
  /** Keeps what `write` puts at the path that it is given, in place of what was under the key. Gives its size. */
  put(key: string, write: (path: string) => Promise<void>): Promise<number>;
  /** Gives the file's path on this machine for the time of `read`. @throws AssayError NOT_FOUND */
  read<T>(key: string, read: (path: string) => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Where there is none, nothing happens. */
  delete(key: string): Promise<void>;
}

/** @param url `file:FOLDER`, or what `openBlobStore` takes */
export async function openFileStore(url: string, temporaryDir: string): Promise<FileStore> {
  if (url.startsWith('file:')) return openFolder(resolve(url.replace(/^file:(\/\/)?/, '')));
  await emptyFolder(temporaryDir);
  return inBlobs(await openBlobStore(url), temporaryDir);
}

async function openFolder(root: string): Promise<FileStore> {
  // Hidden: tools that read the folder as one table leave it out.
  const temporaryDir = join(root, '.tmp');
  await emptyFolder(temporaryDir);
  return {
    async put(key, write) {
      const temporary = join(temporaryDir, newId('tmp'));
      const path = join(root, key);
      try {
        await write(temporary);
        const sizeBytes = await syncFile(temporary);
        await mkdir(dirname(path), { recursive: true });
        await rename(temporary, path);
        // Every folder on the way may be new.
        for (let dir = dirname(path); dir.length >= root.length; dir = dirname(dir)) await syncFolder(dir);
        return sizeBytes;
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
    },
    async read(key, read) {
      const path = join(root, key);
      try {
        await (await open(path, 'r')).close();
      } catch (cause) {
        throw new AssayError('NOT_FOUND', `the file ${path} of the prediction log is gone`, { cause });
      }
      return read(path);
    },
    async delete(key) {
      const path = join(root, key);
      await rm(path, { force: true });
      // Partitions that are empty now; one that is not stays.
      for (let dir = dirname(path); dir.length > root.length; dir = dirname(dir)) {
        if ((await readdir(dir).catch(() => ['?'])).length > 0) break;
        await rm(dir, { recursive: true, force: true });
      }
    },
  };
}

function inBlobs(blobs: BlobStore, temporaryDir: string): FileStore {
  return {
    async put(key, write) {
      const temporary = join(temporaryDir, newId('tmp'));
      try {
        await write(temporary);
        const { sizeBytes } = await blobs.put(key, createReadStream(temporary) as AsyncIterable<Uint8Array>); // no encoding: bytes
        return sizeBytes;
      } finally {
        await rm(temporary, { force: true });
      }
    },
    async read(key, read, signal) {
      const temporary = join(temporaryDir, newId('tmp'));
      try {
        const { body } = await blobs.get(key, { signal });
        await pipeline(body, createWriteStream(temporary), { signal });
        return await read(temporary);
      } finally {
        await rm(temporary, { force: true });
      }
    },
    delete: (key) => blobs.delete(key),
  };
}

async function emptyFolder(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
}

async function syncFile(path: string): Promise<number> {
  const handle = await open(path, 'r+');
  try {
    await handle.sync();
    return (await handle.stat()).size;
  } finally {
    await handle.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
