import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { glob, stat } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AssayError } from '@assay/contracts';

export type DataFormat = 'csv' | 'ndjson' | 'parquet';

/** A file of a dataset, by content. */
export interface DataFile {
  /** Absolute. */
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

const MAX_FILES = 10_000;
const GLOB_CHARACTERS = /[*?[\]{}]/;
const EXTENSIONS: Readonly<Record<string, DataFormat>> = {
  csv: 'csv',
  ndjson: 'ndjson',
  jsonl: 'ndjson',
  parquet: 'parquet',
};

/**
 * The files at `path` (a file, or a glob), sorted by path, each with its digest.
 * @throws AssayError INVALID_ARGUMENT when there is none, there are too many, or one is empty or no file
 */
export async function findDataFiles(path: string, signal: AbortSignal): Promise<DataFile[]> {
  if (!isAbsolute(path)) throw new AssayError('INVALID_ARGUMENT', `"${path}" must be an absolute path`);
  const paths = (await exists(path)) ? [resolve(path)] : await expand(path);
  if (paths.length === 0) throw refused(path, 'there is no such file');
  if (paths.length > MAX_FILES) throw refused(path, `more than ${MAX_FILES} files match`);
  const files: DataFile[] = [];
  for (const file of paths) files.push(await describeFile(file, signal));
  return files;
}

/** @throws AssayError INVALID_ARGUMENT when a name ends in something else and no format was given */
export function formatOf(files: readonly DataFile[], given: DataFormat | undefined): DataFormat {
  if (given !== undefined) return given;
  const formats = new Set(files.map(({ path }) => EXTENSIONS[path.slice(path.lastIndexOf('.') + 1).toLowerCase()]));
  const [format] = formats;
  if (formats.size === 1 && format !== undefined) return format;
  throw new AssayError(
    'INVALID_ARGUMENT',
    `source.format: the format cannot be told from the file name "${files[0]?.path}"; say csv, ndjson or parquet`,
    {
      details: [
        { place: 'source.format', message: 'cannot be told from the file name', expected: 'csv, ndjson or parquet' },
      ],
    },
  );
}

async function expand(pattern: string): Promise<string[]> {
  if (!GLOB_CHARACTERS.test(pattern)) return [];
  const found: string[] = [];
  for await (const path of glob(pattern)) {
    if ((await stat(path)).isFile()) found.push(path);
    if (found.length > MAX_FILES) break;
  }
  return found.sort();
}

async function describeFile(path: string, signal: AbortSignal): Promise<DataFile> {
  // DuckDB would take these characters of a real name for a pattern.
  if (GLOB_CHARACTERS.test(path)) throw refused(path, 'a file name with * ? [ ] { } cannot be read; rename it');
  try {
    const found = await stat(path);
    if (found.isDirectory()) throw refused(path, 'is a folder; name the files in it');
    const { size, mtimeMs } = found;
    if (size === 0) throw refused(path, 'the file is empty');
    const hash = createHash('sha256');
    await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash, { signal });
    return { path, sha256: hash.digest('hex'), sizeBytes: size, modifiedMs: mtimeMs };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AssayError) throw error;
    throw refused(path, error instanceof Error ? error.message : String(error));
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function refused(path: string, reason: string): AssayError {
  return new AssayError('INVALID_ARGUMENT', `source.path: ${path}: ${reason}`, {
    details: [{ place: 'source.path', message: `${path}: ${reason}` }],
  });
}
