/** The files of a dataset, up and down: a few at once, streamed, each checked against its digest. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AssayError, type DatasetFile, type DatasetVersion } from '@assay/contracts';
import { digestFile, exists, putBlob } from './package-transfer.ts';
import {
  type Answer,
  type Call,
  type CallOptions,
  finalFailure,
  segment,
  type Transport,
  unusable,
} from './transport.ts';

/** More at once make a transfer no faster, and take the connections of other calls. */
const FILES_AT_ONCE = 4;

/** A file on this machine and what it is called in the dataset. */
export interface LocalDatasetFile {
  readonly name: string;
  /** Where it is. */
  readonly file: string;
  /**
   * Its content, where the caller has read it already: the registry then refuses a file that changed since. Without it the
   * file is hashed here.
   */
  readonly content?: { readonly sha256: string; readonly sizeBytes: number };
}

/** The version whose files are wanted. */
export type DatasetFilesOf = Pick<DatasetVersion, 'datasetName' | 'version' | 'digest' | 'files'>;

/** Hashes the files, puts those that the registry lacks under their digest, and gives the list by name. */
export async function uploadDatasetFiles(
  transport: Transport,
  locals: readonly LocalDatasetFile[],
  options: CallOptions,
  timeoutMs: number,
): Promise<DatasetFile[]> {
  const files: DatasetFile[] = [];
  await forEach(locals, options.signal, async ({ name, file, content }, signal) => {
    const { sha256, sizeBytes } = content ?? (await digestFile(file, signal));
    files.push({ name, sha256, sizeBytes });
    await putBlob(transport, { sha256, file, sizeBytes }, { ...options, signal }, timeoutMs);
  });
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Gets every file into a folder beside `dir`, then gives it its name: `dir` is whole or absent. The folder beside it stays
 * where a download breaks off, and the next one goes on with the files that it holds. Of two downloads at once both succeed.
 */
export async function downloadDatasetFiles(
  transport: Transport,
  version: DatasetFilesOf,
  dir: string,
  options: CallOptions,
  timeoutMs: number,
): Promise<void> {
  const target = resolve(dir);
  if (await isThere(target, version, options.signal)) return;
  const work = `${target}.${version.digest.slice(0, 16)}.partial`;
  // Apart, so that nothing unfinished is in the folder that gets the name.
  const [whole, arriving] = [join(work, 'whole'), join(work, 'arriving')];
  try {
    await local(work, () => Promise.all([mkdir(whole, { recursive: true }), mkdir(arriving, { recursive: true })]));
    await forEach(version.files, options.signal, async (file, signal) => {
      if (await hasContent(join(whole, file.name), file, signal)) return;
      const path = join(arriving, `${file.name}.${randomUUID()}`);
      await downloadFile(transport, version, file, path, { ...options, signal }, timeoutMs);
      await local(work, () => rename(path, join(whole, file.name)));
    });
    await local(target, () => rename(whole, target));
  } catch (error) {
    if (!(await isThere(target, version, options.signal))) throw error; // else another download was first
  }
  await rm(work, { recursive: true, force: true });
}

/** Streams a file to `target`. What an attempt that broke off has brought, the next one does not ask for again. */
async function downloadFile(
  transport: Transport,
  { datasetName, version }: DatasetFilesOf,
  file: DatasetFile,
  target: string,
  options: CallOptions,
  timeoutMs: number,
): Promise<void> {
  const path = `/v1/datasets/${segment(datasetName)}/versions/${version}/files/${segment(file.name)}`;
  const other = (found: string): Error =>
    unusable(
      `${transport.url}${path} is not the file that was registered: expected sha256 ${file.sha256} and ${file.sizeBytes} bytes, got ${found}`,
    );
  let hash = createHash('sha256');
  let receivedBytes = 0;
  const call: Call = {
    method: 'GET',
    path,
    // Read anew for each attempt.
    get headers() {
      const isBegun = receivedBytes > 0 && receivedBytes < file.sizeBytes;
      const rest = isBegun ? { range: `bytes=${receivedBytes}-`, 'if-range': `"${file.sha256}"` } : {};
      return { accept: '*/*', ...rest };
    },
    idempotent: true,
    timeoutMs,
  };
  const read = async ({ status, headers, body }: Answer, signal: AbortSignal): Promise<void> => {
    const isRest = status === 206;
    if (!isRest) [hash, receivedBytes] = [createHash('sha256'), 0];
    else if (!String(headers['content-range']).startsWith(`bytes ${receivedBytes}-`)) throw other('another range');
    const handle = await open(target, isRest ? 'a' : 'w').catch(notWritten);
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        // a body without encoding gives bytes
        signal.throwIfAborted();
        if (receivedBytes + chunk.length > file.sizeBytes) throw other('more');
        await handle.writeFile(chunk).catch(notWritten); // at the handle's position: it appends
        hash.update(chunk);
        receivedBytes += chunk.length;
      }
      await handle.sync().catch(notWritten);
    } finally {
      await handle.close();
    }
    const sha256 = hash.digest('hex');
    if (sha256 !== file.sha256) throw other(`${sha256} and ${receivedBytes}`);
  };
  const notWritten = (cause: unknown): never => {
    throw finalFailure(unwritable(target, cause));
  };
  try {
    await transport.send(call, options, read);
  } catch (error) {
    await rm(target, { force: true });
    throw error;
  }
}

/**
 * Whether `dir` is the dataset already; an empty folder is as good as none.
 * @throws AssayError ALREADY_EXISTS where it is anything else
 */
async function isThere(dir: string, version: DatasetFilesOf, signal: AbortSignal | undefined): Promise<boolean> {
  if (!(await exists(dir))) return false;
  const found = new Set(await local(dir, () => readdir(dir)));
  if (found.size === 0) return false;
  for (const file of version.files) {
    if (found.has(file.name) && (await hasContent(join(dir, file.name), file, signal))) continue;
    throw new AssayError(
      'ALREADY_EXISTS',
      `${dir} is there and its ${file.name} is not that of ${version.datasetName} ${version.version}; name a folder that is not there yet`,
    );
  }
  return true;
}

async function hasContent(path: string, file: DatasetFile, signal: AbortSignal | undefined): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || !found.isFile() || found.size !== file.sizeBytes) return false;
  return (await digestFile(path, signal)).sha256 === file.sha256;
}

async function local<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

function unwritable(path: string, cause: unknown): AssayError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AssayError('FAILED_PRECONDITION', `${path} cannot be used: ${why}`, { cause });
}

/** Works on a few items at once; the first failure ends the others, and is thrown when they have ended. */
async function forEach<T>(
  items: readonly T[],
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  const rest = items.values();
  let first: { readonly error: unknown } | undefined;
  await Promise.all(
    Array.from({ length: Math.min(FILES_AT_ONCE, items.length) }, async () => {
      for (const item of rest) {
        if (either.aborted) break;
        await work(item, either).catch((error: unknown) => {
          first ??= { error };
          failed.abort();
        });
      }
    }),
  );
  if (first !== undefined) throw first.error;
  if (signal?.aborted) throw AssayError.from(signal.reason);
}
