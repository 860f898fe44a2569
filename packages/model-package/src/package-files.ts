/** The files of a package as they may lie on a disk: plain, inside the folder, bounded. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AssayError, matches, PackageFile } from '@assay/contracts';

export const MANIFEST_FILE = 'assay.json';
export const MODEL_FILE = 'model.onnx';
export const MLMODEL_FILE = 'MLmodel';

/** What a package may hold at most. A protobuf message, so model.onnx too, is below 2 GiB by its own format. */
export const PACKAGE_LIMITS = {
  files: 1000,
  manifestBytes: 64 * 1024 * 1024,
  fileBytes: 2 ** 31 - 1,
  totalBytes: 4 * 2 ** 31,
  depth: 8,
} as const;

/** @throws AssayError UNPROCESSABLE_MODEL unless `path` is relative, `/`-separated, without `..` or hidden segments */
export function checkPath(path: string): void {
  if (!matches(PackageFile.properties.path, path)) {
    throw refusal(
      `${JSON.stringify(path)} is no path for a file of a package: expected relative segments of letters, digits, ".", "_" and "-", none of them hidden or ".."`,
    );
  }
}

export function sha256Of(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Every file under `dir`, as `/`-separated paths, sorted. Refuses links and whatever else is not a plain file. */
export async function listFiles(dir: string): Promise<string[]> {
  const found: string[] = [];
  const visit = async (prefix: string, depth: number): Promise<void> => {
    if (depth > PACKAGE_LIMITS.depth) throw refusal(`${prefix} is nested deeper than ${PACKAGE_LIMITS.depth} folders`);
    for (const entry of await readdir(join(dir, prefix), { withFileTypes: true })) {
      const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
      if (entry.isDirectory()) await visit(path, depth + 1);
      else if (entry.isFile()) found.push(path);
      else
        throw refusal(
          `${path} is a ${entry.isSymbolicLink() ? 'symbolic link' : 'special file'}; a package holds plain files`,
        );
      if (found.length > PACKAGE_LIMITS.files) throw refusal(`a package holds at most ${PACKAGE_LIMITS.files} files`);
    }
  };
  await visit('', 0);
  return found.sort();
}

/**
 * Opens a file of a package for reading without following a link, at any segment of its path, and gives its size.
 * @throws AssayError UNPROCESSABLE_MODEL
 */
async function openPlain(dir: string, path: string) {
  checkPath(path);
  let folder = dir;
  for (const segment of path.split('/').slice(0, -1)) {
    folder = join(folder, segment);
    if (!(await lstat(folder)).isDirectory()) throw refusal(`${path} does not lie in plain folders`);
  }
  const handle = await open(join(dir, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    throw refusal(`${path} is not a plain file`);
  }
  return { handle, sizeBytes: stat.size };
}

/** The bytes of a file, at most `limitBytes` of them. */
export async function readPlain(dir: string, path: string, limitBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  return whole(dir, path, async () => {
    const { handle, sizeBytes } = await openPlain(dir, path);
    await using _closed = handle;
    if (sizeBytes > limitBytes) throw refusal(`${path} has ${sizeBytes} bytes, more than the ${limitBytes} allowed`);
    const bytes = new Uint8Array(sizeBytes);
    let filled = 0;
    while (filled < sizeBytes) {
      const { bytesRead } = await handle.read(bytes, filled, sizeBytes - filled, filled);
      if (bytesRead === 0) throw refusal(`${path} became shorter while it was read`);
      filled += bytesRead;
    }
    return bytes;
  });
}

/** Size and digest of a file, read as a stream. */
export async function digestPlain(
  dir: string,
  path: string,
  limitBytes: number,
): Promise<{ sha256: string; sizeBytes: number }> {
  return whole(dir, path, async () => {
    const { handle, sizeBytes } = await openPlain(dir, path);
    await using _closed = handle;
    if (sizeBytes > limitBytes) throw refusal(`${path} has ${sizeBytes} bytes, more than the ${limitBytes} allowed`);
    const hash = createHash('sha256');
    const buffer = new Uint8Array(Math.min(Math.max(sizeBytes, 1), 1024 * 1024));
    let total = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, total);
      if (bytesRead === 0) break;
      total += bytesRead;
      if (total > limitBytes) throw refusal(`${path} grew over ${limitBytes} bytes while it was read`);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return { sha256: hash.digest('hex'), sizeBytes: total };
  });
}

/** Names the file in what the file system says. */
async function whole<T>(dir: string, path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof AssayError) throw error;
    const code = (error as NodeJS.ErrnoException).code; // only the file system throws here
    if (code === 'ENOENT') throw refusal(`${path} is missing from the package in ${dir}`, error);
    if (code === 'ELOOP') throw refusal(`${path} is a symbolic link; a package holds plain files`, error);
    throw refusal(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

export function refusal(message: string, cause?: unknown): AssayError {
  return new AssayError('UNPROCESSABLE_MODEL', message, cause === undefined ? {} : { cause });
}
