/**
 * Blobs as files: `ROOT/KEY.blob`, so that a key may be both a blob and the beginning of others. A body is written to
 * `ROOT/.tmp`, synced, renamed into place, and the folder synced: whole or absent, and durable once acknowledged.
 */
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { AssayError } from '@assay/contracts';
import { abortable } from './abortable.ts';
import { type BlobStore, checkKey, checkPrefix, type ListedBlob, type PutOptions, resolveRange } from './blob-store.ts';
import { sweepTemporaryFiles, temporaryName } from './temporary-files.ts';

const ENDING = '.blob';
const READ_CHUNK_BYTES = 256 * 1024;

export async function openFileStore(folder: string): Promise<BlobStore> {
  const root = resolve(folder);
  const temporary = join(root, '.tmp');
  await clearly(root, async () => {
    await makeFolder(temporary);
    await sweepTemporaryFiles(temporary);
  }).catch((error: unknown) => {
    if (!hasCode(error, 'EEXIST', 'ENOTDIR')) throw error;
    const message = `blobs in ${root}: it, or a part of its path, is a file; choose another folder`;
    throw new AssayError('FAILED_PRECONDITION', message, { cause: error });
  });

  const pathOf = (key: string): string => {
    checkKey(key);
    return join(root, `${key}${ENDING}`);
  };

  async function sizeOf(path: string): Promise<{ sizeBytes: number; inode: number } | undefined> {
    try {
      const { size, ino } = await stat(path);
      return { sizeBytes: size, inode: ino };
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  return {
    async put(key, body, options = {}) {
      const path = pathOf(key);
      const { signal, ifAbsent = false } = options;
      signal?.throwIfAborted();
      if (ifAbsent && (await clearly(root, () => sizeOf(path))) !== undefined) throw alreadyExists(key);
      const written = join(temporary, temporaryName(randomBytes(8).toString('hex')));
      const result = await writeTemporary(root, written, body, key, options);
      try {
        signal?.throwIfAborted();
        await clearly(root, async () => {
          await makeFolder(dirname(path));
          if (ifAbsent) await link(written, path);
          else await rename(written, path);
          await syncFolder(dirname(path));
        });
      } catch (error) {
        throw hasCode(error, 'EEXIST') ? alreadyExists(key) : error;
      } finally {
        await rm(written, { force: true }).catch(() => undefined); // swept at the next open; the blob's fate is decided
      }
      return result;
    },

    async get(key, { range, signal } = {}) {
      const path = pathOf(key);
      signal?.throwIfAborted();
      const found = await clearly(root, () => sizeOf(path));
      if (found === undefined) throw notFound(key);
      const { from, to } = resolveRange(range, found.sizeBytes);
      return { sizeBytes: found.sizeBytes, body: read(root, path, key, { from, to, inode: found.inode, signal }) };
    },

    async head(key, { signal } = {}) {
      const path = pathOf(key);
      signal?.throwIfAborted();
      const found = await clearly(root, () => sizeOf(path));
      return found === undefined ? undefined : { key, sizeBytes: found.sizeBytes };
    },

    list(prefix, { signal } = {}) {
      checkPrefix(prefix);
      return listFolder(root, prefix, signal);
    },

    async delete(key, { signal } = {}) {
      const path = pathOf(key);
      signal?.throwIfAborted();
      await clearly(root, async () => {
        try {
          await unlink(path);
        } catch (error) {
          if (hasCode(error, 'ENOENT', 'ENOTDIR')) return;
          throw error;
        }
        await syncFolder(dirname(path));
      });
    },
  };
}

async function writeTemporary(
  root: string,
  path: string,
  body: AsyncIterable<Uint8Array>,
  key: string,
  { sha256: expected, maxSizeBytes = Number.MAX_SAFE_INTEGER, signal }: PutOptions,
): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const file = await clearly(root, () => open(path, 'wx', 0o644));
  try {
    for await (const chunk of abortable(body, signal)) {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > maxSizeBytes) {
        throw new AssayError('PAYLOAD_TOO_LARGE', `blob ${key}: is longer than the ${maxSizeBytes} bytes allowed`);
      }
      hash.update(chunk);
      await clearly(root, () => writeAll(file, chunk));
    }
    const sha256 = hash.digest('hex');
    if (expected !== undefined && sha256 !== expected) {
      throw new AssayError(
        'INVALID_ARGUMENT',
        `blob ${key}: the bytes have the sha256 ${sha256}, expected ${expected}`,
      );
    }
    await clearly(root, () => file.sync());
    await file.close();
    return { sizeBytes, sha256 };
  } catch (error) {
    await file.close().catch(() => undefined); // the first error is the one to tell
    await rm(path, { force: true }).catch(() => undefined);
    throw error;
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let offset = 0;
  while (offset < chunk.byteLength) {
    const { bytesWritten } = await file.write(chunk, offset, chunk.byteLength - offset);
    offset += bytesWritten;
  }
}

async function* read(
  root: string,
  path: string,
  key: string,
  { from, to, inode, signal }: { from: number; to: number; inode: number; signal: AbortSignal | undefined },
): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted();
  const file = await clearly(root, () => open(path, constants.O_RDONLY)).catch((error: unknown) => {
    throw hasCode(error, 'ENOENT', 'ENOTDIR') ? notFound(key) : error;
  });
  try {
    // Another put came between the look and the read: the size and range that were told are no longer true.
    if ((await file.stat()).ino !== inode)
      throw new AssayError('UNAVAILABLE', `blob ${key}: was replaced; read it again`);
    let position = from;
    while (position < to) {
      signal?.throwIfAborted();
      const chunk = new Uint8Array(Math.min(READ_CHUNK_BYTES, to - position));
      const { bytesRead } = await clearly(root, () => file.read(chunk, 0, chunk.byteLength, position));
      if (bytesRead === 0)
        throw new AssayError('UNAVAILABLE', `blob ${key}: its file was cut short at ${position} bytes`);
      position += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** By the order of the keys' bytes: a folder sorts as its name with the `/` that follows it. */
async function* listFolder(root: string, prefix: string, signal: AbortSignal | undefined): AsyncGenerator<ListedBlob> {
  const slash = prefix.lastIndexOf('/');
  yield* visit(slash < 0 ? '' : prefix.slice(0, slash + 1));

  async function* visit(folder: string): AsyncGenerator<ListedBlob> {
    signal?.throwIfAborted();
    const entries = await clearly(root, () => readdir(join(root, folder), { withFileTypes: true })).catch(
      (error: unknown) => {
        if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
        throw error;
      },
    );
    const found: { name: string; isFolder: boolean }[] = [];
    for (const entry of entries) {
      if (entry.name.startsWith('.')) continue;
      if (entry.isDirectory()) found.push({ name: `${entry.name}/`, isFolder: true });
      else if (entry.name.endsWith(ENDING)) found.push({ name: entry.name.slice(0, -ENDING.length), isFolder: false });
    }
    found.sort((a, b) => (a.name < b.name ? -1 : 1)); // keys are ASCII, so this is the order of their bytes
    for (const { name, isFolder } of found) {
      const key = `${folder}${name}`;
      if (isFolder) {
        if (key.startsWith(prefix) || prefix.startsWith(key)) yield* visit(key);
      } else if (key.startsWith(prefix)) {
        signal?.throwIfAborted();
        const info = await lstat(join(root, `${key}${ENDING}`)).catch((error: unknown) => {
          if (hasCode(error, 'ENOENT')) return undefined; // deleted since the folder was read
          throw error;
        });
        if (info?.isFile() === true) yield { key, sizeBytes: info.size, modifiedAtMs: info.mtimeMs };
      }
    }
  }
}

/** Makes a folder such that it is there after a power cut: each new entry is synced in the folder that holds it. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === first) return;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

/** What the file system refuses, as one clear line; errors that have a meaning to the caller pass as they are. */
async function clearly<T>(root: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    if (hasCode(error, 'ENOSPC', 'EDQUOT', 'EFBIG')) {
      const message = `blobs in ${root}: the disk is full; nothing of this was kept. Free some space`;
      throw new AssayError('UNAVAILABLE', message, { cause: error });
    }
    if (hasCode(error, 'EACCES', 'EPERM', 'EROFS')) {
      const message = `blobs in ${root}: no permission to read or write there; check the folder's owner and mode`;
      throw new AssayError('FAILED_PRECONDITION', message, { cause: error });
    }
    if (hasCode(error, 'EIO', 'EMFILE', 'ENFILE', 'ESTALE')) {
      const message = `blobs in ${root}: reading or writing failed (${error instanceof Error ? error.message : ''})`;
      throw new AssayError('UNAVAILABLE', message, { cause: error });
    }
    throw error;
  }
}

function notFound(key: string): AssayError {
  return new AssayError('NOT_FOUND', `there is no blob ${key}`);
}

function alreadyExists(key: string): AssayError {
  return new AssayError('ALREADY_EXISTS', `there is a blob ${key} already`);
}
