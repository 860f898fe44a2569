/** The files of a package, up and down, streamed and checked: no file is ever whole in memory. */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { AssayError, type PackageFile } from '@assay/contracts';
import { type CallOptions, finalFailure, segment, type Transport, unusable } from './transport.ts';

/** A folder with more files than a package may have is not a package. */
const MAX_FILES = 1000;

/** A file on this machine and what it is called in the package. */
export interface LocalFile {
  readonly path: string;
  readonly file: string;
}

/** Hashes the files, puts those that the registry lacks under their digest, and gives the list in path order. */
export async function uploadFiles(
  transport: Transport,
  locals: readonly LocalFile[],
  options: CallOptions,
  timeoutMs: number,
): Promise<PackageFile[]> {
  const described: PackageFile[] = [];
  const sources = new Map<string, { file: string; sizeBytes: number }>();
  for (const { path, file } of locals) {
    const { sha256, sizeBytes } = await digestFile(file, options.signal);
    described.push({ path, sha256, sizeBytes });
    sources.set(sha256, { file, sizeBytes });
  }
  for (const [sha256, source] of sources) await putBlob(transport, { sha256, ...source }, options, timeoutMs);
  return described.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Puts a file under its digest, where the registry does not have that content yet. */
export async function putBlob(
  transport: Transport,
  { sha256, file, sizeBytes }: { readonly sha256: string; readonly file: string; readonly sizeBytes: number },
  options: CallOptions,
  timeoutMs: number,
): Promise<void> {
  const path = `/v1/blobs/${sha256}`;
  const look = { method: 'HEAD', path, idempotent: true, alsoAccept: [404] } as const;
  const isThere = await transport.send(look, options, async ({ status }) => status !== 404);
  if (isThere) return;
  const bytes = { open: () => bytesOf(file), sizeBytes };
  await transport.done({ method: 'PUT', path, bytes, idempotent: true, timeoutMs }, options);
}

/** Every regular file under `dir`, `/`-separated, hidden ones left out; a link is refused, since it leads elsewhere. */
export async function filesOf(dir: string): Promise<LocalFile[]> {
  const found: LocalFile[] = [];
  const folders = [dir];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await list(folder)) {
      const file = join(folder, entry.name);
      if (entry.name.startsWith('.')) continue;
      if (entry.isDirectory()) folders.push(file);
      else if (entry.isFile()) found.push({ path: relative(dir, file).split(sep).join('/'), file });
      else
        throw new AssayError('INVALID_ARGUMENT', `${file} is neither a file nor a folder; a package holds files only`);
      if (found.length > MAX_FILES) {
        throw new AssayError(
          'INVALID_ARGUMENT',
          `${dir} holds more than ${MAX_FILES} files; expected a package folder`,
        );
      }
    }
  }
  if (found.length === 0) throw new AssayError('INVALID_ARGUMENT', `${dir} holds no files; expected a package folder`);
  return found;
}

async function list(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    throw unreadable(folder, cause);
  }
}

export async function digestFile(
  file: string,
  signal: AbortSignal | undefined,
): Promise<{ sha256: string; sizeBytes: number }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const bytes of bytesOf(file)) {
    if (signal?.aborted) throw AssayError.from(signal.reason);
    hash.update(bytes);
    sizeBytes += bytes.length;
  }
  return { sha256: hash.digest('hex'), sizeBytes };
}

async function* bytesOf(file: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(file) as AsyncIterable<Uint8Array>; // a stream without encoding gives bytes
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

function unreadable(path: string, cause: unknown): AssayError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AssayError('INVALID_ARGUMENT', `${path} cannot be read: ${why}`, { cause });
}

/**
 * Gets every file into a folder beside `dir`, then gives it its name. Of two downloads at once the first wins and both
 * succeed: a version is immutable.
 */
export async function downloadFiles(
  transport: Transport,
  version: { readonly id: string; readonly files: readonly PackageFile[] },
  dir: string,
  options: CallOptions | undefined,
  timeoutMs: number,
): Promise<void> {
  if (await exists(dir)) return;
  const partial = `${dir}.${randomUUID()}.partial`;
  try {
    for (const file of version.files) {
      const target = join(partial, ...file.path.split('/'));
      await mkdir(dirname(target), { recursive: true });
      const path = `/v1/versions/${segment(version.id)}/files/${file.path.split('/').map(segment).join('/')}`;
      const headers = { accept: '*/*' };
      await transport.send(
        { method: 'GET', path, headers, idempotent: true, timeoutMs },
        options,
        async ({ body }, signal) => {
          await writeChecked(body, target, file, `${transport.url}${path}`, signal);
        },
      );
    }
    await rename(partial, dir).catch(async (cause: unknown) => {
      if (!(await exists(dir))) throw cause;
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

async function writeChecked(
  body: AsyncIterable<Uint8Array>,
  target: string,
  file: PackageFile,
  from: string,
  signal: AbortSignal,
): Promise<void> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const local = (cause: unknown): never => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw finalFailure(new AssayError('FAILED_PRECONDITION', `${target} cannot be written: ${why}`, { cause }));
  };
  const handle = await open(target, 'w').catch(local);
  try {
    for await (const chunk of body) {
      signal.throwIfAborted();
      sizeBytes += chunk.length;
      if (sizeBytes > file.sizeBytes) break;
      hash.update(chunk);
      await handle.writeFile(chunk).catch(local); // at the handle's position: it appends
    }
    await handle.sync().catch(local);
  } finally {
    await handle.close();
  }
  const sha256 = hash.digest('hex');
  if (sizeBytes !== file.sizeBytes || sha256 !== file.sha256) {
    throw unusable(`${from} is not the file that was registered: expected sha256 ${file.sha256}, got ${sha256}`);
  }
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
