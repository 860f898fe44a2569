/**
 * How a body goes to an object store: cut into parts that are sent while the next ones are read, and made an object only
 * once all of it was seen and its digest is right. What fits in one part is one request.
 */
import { createHash } from 'node:crypto';
import { AssayError } from '@assay/contracts';
import { abortable } from './abortable.ts';
import type { PutOptions } from './blob-store.ts';

export interface PartTarget {
  /** Makes the object of these bytes, at once. */
  putWhole(bytes: Uint8Array): Promise<void>;
  /** Begins one of several parts. Nothing is visible before `complete`. */
  begin(): Promise<PartUpload>;
}

export interface PartUpload {
  /** @param number from 1, in the order of the body; calls may overlap */
  send(number: number, bytes: Uint8Array): Promise<void>;
  complete(): Promise<void>;
  /** Lets the parts go. May fail: the store forgets them by itself, sooner or later. */
  abandon(): Promise<void>;
}

const FIRST_PART_BYTES = 8 * 1024 * 1024;
/** S3 takes 10,000 parts: they grow, so that a body may have 200 GB. */
const PARTS_OF_A_SIZE = 2500;
const MAX_PARTS = 10_000;
/** With the part that is being filled, what is held in memory. */
const PARTS_UNDER_WAY = 3;

/** @throws AssayError as `BlobStore.put`; what `target` and `body` throw */
export async function putInParts(
  key: string,
  body: AsyncIterable<Uint8Array>,
  { sha256: expected, maxSizeBytes = Number.MAX_SAFE_INTEGER, signal }: PutOptions,
  target: PartTarget,
): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash('sha256');
  const underWay = new Set<Promise<void>>();
  let upload: PartUpload | undefined;
  let part = createPart(partBytes(1));
  let parts = 0;
  let sizeBytes = 0;

  async function flush(): Promise<void> {
    const begun = upload ?? (await target.begin());
    upload = begun;
    if (underWay.size >= PARTS_UNDER_WAY) await Promise.race(underWay);
    const number = ++parts;
    if (number > MAX_PARTS) throw new AssayError('PAYLOAD_TOO_LARGE', `blob ${key}: is too long for this store`);
    const sending = begun.send(number, part.take()).then(() => {
      underWay.delete(sending);
    });
    sending.catch(() => undefined); // seen by the race, or at the end
    underWay.add(sending);
    part = createPart(partBytes(number + 1));
  }

  try {
    for await (const chunk of abortable(body, signal)) {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > maxSizeBytes) {
        throw new AssayError('PAYLOAD_TOO_LARGE', `blob ${key}: is longer than the ${maxSizeBytes} bytes allowed`);
      }
      hash.update(chunk);
      for (let rest = part.add(chunk); rest !== undefined; rest = part.add(rest)) await flush();
    }
    const sha256 = hash.digest('hex');
    if (expected !== undefined && sha256 !== expected) {
      const message = `blob ${key}: the bytes have the sha256 ${sha256}, expected ${expected}`;
      throw new AssayError('INVALID_ARGUMENT', message);
    }
    if (upload === undefined) {
      signal?.throwIfAborted();
      await target.putWhole(part.take());
    } else {
      if (!part.isEmpty) await flush();
      await Promise.all(underWay);
      signal?.throwIfAborted();
      await upload.complete();
    }
    return { sizeBytes, sha256 };
  } catch (error) {
    await Promise.allSettled(underWay);
    await upload?.abandon().catch(() => undefined); // the first error is the one to tell
    throw error;
  }
}

function partBytes(number: number): number {
  return FIRST_PART_BYTES * (1 + Math.floor((number - 1) / PARTS_OF_A_SIZE));
}

/** A buffer that is filled up to its capacity. */
function createPart(capacityBytes: number) {
  const chunks: Uint8Array[] = [];
  let filledBytes = 0;
  return {
    get isEmpty() {
      return filledBytes === 0;
    },
    /** Takes what fits, and gives the rest; undefined where nothing is left. */
    add(chunk: Uint8Array): Uint8Array | undefined {
      const room = capacityBytes - filledBytes;
      const taken = chunk.byteLength <= room ? chunk : chunk.subarray(0, room);
      if (taken.byteLength > 0) chunks.push(taken);
      filledBytes += taken.byteLength;
      return taken.byteLength < chunk.byteLength ? chunk.subarray(taken.byteLength) : undefined;
    },
    take: (): Uint8Array => Buffer.concat(chunks, filledBytes),
  };
}
