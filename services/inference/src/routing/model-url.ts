/**
 * Models by URL: `file:///models/iris.onnx`, `s3://bucket/key`, `az://container/key`, with the parameters of blob stores
 * (`?endpoint=…&region=…`) and `#sha256=HEX` for the digest that the model must have. The key is that of one ONNX file, or
 * of a folder: a package, or whatever else a folder on disk may hold. Credentials come from the environment.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import type { BlobInfo, BlobStore } from '@assay/blobs';
import { AssayError } from '@assay/contracts';
import { MANIFEST_FILE, PACKAGE_LIMITS } from '@assay/model-package';
import { backoffMs } from '../domain/backoff.ts';
import { pause } from '../domain/live-set.ts';

export interface FetchModelOptions {
  /** Where downloads are kept. */
  readonly dir: string;
  /** Of all files of the model together. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

interface ModelUrl {
  readonly scheme: string;
  /** Of the bucket or container, without a key. */
  readonly store: string;
  readonly key: string;
  /** Of the file, or of the `assay.json` of the folder. */
  readonly sha256: string | undefined;
  /** Without parameters, for messages. */
  readonly shown: string;
}

const TRIES = 4;
const RETRY = { firstMs: 250, maxMs: 4000 };
const MAX_FILES = 1000;

export function isModelUrl(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//.test(text);
}

/**
 * The file or folder on this disk that the URL stands for.
 * @throws INVALID_ARGUMENT for a URL that cannot be read, an absent object or another digest; PAYLOAD_TOO_LARGE;
 *   FAILED_PRECONDITION for an absent bucket or refused credentials; UNAVAILABLE after several tries
 */
export async function fetchModel(text: string, options: FetchModelOptions): Promise<string> {
  const url = parseModelUrl(text);
  if (url.scheme === 'file:') {
    await checkDigest(url, url.key);
    return url.key;
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await download(url, options);
    } catch (thrown) {
      options.signal?.throwIfAborted();
      const error = AssayError.from(thrown);
      if (error.code === 'INTERNAL') throw thrown;
      if (error.code !== 'UNAVAILABLE' || attempt === TRIES) {
        throw new AssayError(error.code, `${url.shown}: ${error.message}`, { cause: thrown });
      }
      await pause(backoffMs(RETRY, attempt), options.signal ?? new AbortController().signal);
    }
  }
}

function parseModelUrl(text: string): ModelUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['file:', 's3:', 'az:'].includes(url.protocol)) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `"${text.slice(0, 200)}" is no URL of a model; expected file:///PATH, s3://BUCKET/KEY or az://CONTAINER/KEY`,
    );
  }
  const shown = `${url.protocol}//${url.host}${url.pathname}`;
  const sha256 = /^#sha256=([0-9a-f]{64})$/.exec(url.hash)?.[1];
  if (url.hash !== '' && sha256 === undefined) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `${shown}: "${url.hash}" is no digest; expected #sha256= and 64 hex digits`,
    );
  }
  if (url.protocol === 'file:') {
    return { scheme: url.protocol, store: '', key: pathOf(url, shown), sha256, shown };
  }
  const key = url.pathname.replace(/^\/+|\/+$/g, '');
  if (key === '') throw new AssayError('INVALID_ARGUMENT', `${shown} names no object; expected ${shown}/KEY`);
  url.pathname = '';
  url.hash = '';
  return { scheme: url.protocol, store: url.href, key, sha256, shown };
}

function pathOf(url: URL, shown: string): string {
  try {
    return fileURLToPath(new URL(url.pathname, url));
  } catch (cause) {
    throw new AssayError('INVALID_ARGUMENT', `${shown} names no file of this machine; expected file:///PATH`, {
      cause,
    });
  }
}

/** Whole or absent: the files are put in place when the last one is there and right. */
async function download(url: ModelUrl, options: FetchModelOptions): Promise<string> {
  const { openBlobStore } = await import('@assay/blobs');
  const store = await openBlobStore(url.store);
  const found = await store.head(url.key, options);
  const files = found === undefined ? await listFolder(store, url.key, options) : [found];
  if (files.length === 0) throw new AssayError('INVALID_ARGUMENT', 'there is no such object, and none under it');
  const maxBytes = options.maxBytes ?? PACKAGE_LIMITS.totalBytes;
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  if (sizeBytes > maxBytes) {
    throw new AssayError(
      'PAYLOAD_TOO_LARGE',
      `it has ${sizeBytes} bytes, more than the ${maxBytes} that a model may have`,
    );
  }
  const name = basename(url.key);
  const target = join(options.dir, createHash('sha256').update(`${url.store} ${url.key}`).digest('hex'));
  const partial = `${target}.partial`;
  await rm(partial, { recursive: true, force: true });
  try {
    for (const { key } of files) {
      const path = join(partial, name, key.slice(url.key.length));
      await mkdir(dirname(path), { recursive: true });
      const { body } = await store.get(key, options);
      await pipeline(bounded(body, maxBytes), createWriteStream(path), options);
    }
    await checkDigest(url, join(partial, name));
    await rm(target, { recursive: true, force: true });
    await rename(partial, target);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return join(target, name);
}

async function listFolder(store: BlobStore, key: string, options: FetchModelOptions): Promise<BlobInfo[]> {
  const files: BlobInfo[] = [];
  for await (const file of store.list(`${key}/`, options)) {
    if (file.key.endsWith('/')) continue; // what some programs make for an empty folder
    if (!isPlain(file.key)) throw new AssayError('INVALID_ARGUMENT', `"${file.key}" cannot be a file of a model`);
    if (files.length === MAX_FILES) {
      throw new AssayError(
        'INVALID_ARGUMENT',
        `there are more than ${MAX_FILES} objects under it: name the model's own`,
      );
    }
    files.push(file);
  }
  return files;
}

/** Stores take any text for a key; this one becomes a path below the download's folder. */
function isPlain(key: string): boolean {
  return key.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\\0]/.test(part));
}

/** An object that has grown since it was looked at. */
async function* bounded(body: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes)
      throw new AssayError('PAYLOAD_TOO_LARGE', `it is larger than the ${maxBytes} bytes of a model`);
    yield chunk;
  }
}

async function checkDigest({ sha256, shown }: ModelUrl, path: string): Promise<void> {
  if (sha256 === undefined) return;
  const hash = createHash('sha256');
  try {
    const isFolder = (await stat(path)).isDirectory();
    await pipeline(createReadStream(isFolder ? join(path, MANIFEST_FILE) : path), hash);
  } catch (cause) {
    const message = `${shown} cannot be checked: the digest is that of a file, or of the ${MANIFEST_FILE} of a package`;
    throw new AssayError('INVALID_ARGUMENT', message, { cause });
  }
  const actual = hash.digest('hex');
  if (actual !== sha256) {
    throw new AssayError('INVALID_ARGUMENT', `the model has the sha256 ${actual}, and not ${sha256} as its URL says`);
  }
}
