/**
 * The port for files that are written once and read as a whole or in ranges: packages, datasets, job outputs. A *blob* is
 * the bytes under a *key*; it is whole or absent, never partly there, whatever is killed.
 */
import { AssayError } from '@assay/contracts';

/** A part of a blob. `lengthBytes` may reach past the end; without it, to the end. */
export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes?: number;
}

export interface PutOptions {
  /** The digest that the bytes must have; other bytes are refused and nothing is kept. */
  readonly sha256?: string;
  /** Refuse with ALREADY_EXISTS where the key has a blob; of several at once, one wins. */
  readonly ifAbsent?: boolean;
  /** Refuse with PAYLOAD_TOO_LARGE what is longer. */
  readonly maxSizeBytes?: number;
  readonly signal?: AbortSignal;
}

export interface BlobInfo {
  readonly key: string;
  readonly sizeBytes: number;
}

export interface ListedBlob extends BlobInfo {
  /** When it was put last, by the clock of the store. */
  readonly modifiedAtMs: number;
}

export interface BlobStore {
  /**
   * Stores `body` under `key`, in place of what was there. Resolves when it is durable. Memory does not grow with the body.
   * @throws AssayError INVALID_ARGUMENT (bad key, bytes of another digest), ALREADY_EXISTS, PAYLOAD_TOO_LARGE, UNAVAILABLE
   *   (disk full, store not reachable), FAILED_PRECONDITION (no permission), or what `body` threw; then nothing is kept
   */
  put(
    key: string,
    body: AsyncIterable<Uint8Array>,
    options?: PutOptions,
  ): Promise<{ readonly sizeBytes: number; readonly sha256: string }>;
  /**
   * The blob, or a part of it. `sizeBytes` is that of the whole blob. Nothing is held open until `body` is iterated.
   * @throws AssayError NOT_FOUND, INVALID_ARGUMENT (bad key, or a range that begins past the end)
   */
  get(
    key: string,
    options?: { readonly range?: ByteRange; readonly signal?: AbortSignal },
  ): Promise<{ readonly sizeBytes: number; readonly body: AsyncIterable<Uint8Array> }>;
  /** Undefined where there is none. */
  head(key: string, options?: { readonly signal?: AbortSignal }): Promise<BlobInfo | undefined>;
  /** Every blob whose key begins with `prefix`, by the order of the keys' bytes. */
  list(prefix: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<ListedBlob>;
  /** Where there is none, nothing happens. */
  delete(key: string, options?: { readonly signal?: AbortSignal }): Promise<void>;
}

const MAX_KEY_LENGTH = 900; // S3 takes 1024 bytes, a bucket prefix included
const MAX_SEGMENT_LENGTH = 200; // file systems take 255 bytes, an ending included
/** Azure keeps no segment that ends in a dot. */
const SEGMENT = /^[A-Za-z0-9_](?:[A-Za-z0-9._=@+-]*[A-Za-z0-9_=@+-])?$/;
const PREFIX = /^[A-Za-z0-9._=@+/-]*$/;
const KEY_RULE =
  `segments of letters, digits and ._=@+- joined by "/", each beginning with a letter, digit or _ and at most ` +
  `${MAX_SEGMENT_LENGTH} long, ${MAX_KEY_LENGTH} in all, none ending in . or .blob`;

/** Keys are the same on every driver: what is safe as a path and as an object's name, with no way out of the store. */
export function checkKey(key: string): void {
  const good =
    key.length <= MAX_KEY_LENGTH &&
    key.split('/').every((part) => part.length <= MAX_SEGMENT_LENGTH && SEGMENT.test(part) && !part.endsWith('.blob'));
  if (!good) throw new AssayError('INVALID_ARGUMENT', `${quote(key)} is no blob key; expected ${KEY_RULE}`);
}

export function checkPrefix(prefix: string): void {
  if (prefix.length <= MAX_KEY_LENGTH && PREFIX.test(prefix)) return;
  throw new AssayError('INVALID_ARGUMENT', `${quote(prefix)} begins no blob key; expected ${KEY_RULE}`);
}

/** The bytes of `range` in a blob of `sizeBytes`, as a half-open interval. */
export function resolveRange(range: ByteRange | undefined, sizeBytes: number): { from: number; to: number } {
  if (range === undefined) return { from: 0, to: sizeBytes };
  const { offsetBytes, lengthBytes = Number.MAX_SAFE_INTEGER } = range;
  const whole = Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(lengthBytes);
  if (!whole || offsetBytes < 0 || lengthBytes < 0 || offsetBytes > sizeBytes) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `a range from byte ${offsetBytes} is outside the blob of ${sizeBytes} bytes`,
    );
  }
  return { from: offsetBytes, to: offsetBytes + Math.min(lengthBytes, sizeBytes - offsetBytes) };
}

function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 99)}…` : text);
}
