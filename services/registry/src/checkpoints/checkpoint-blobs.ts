/** Checkpoints in the blob store: one small blob each, never written twice, in the order of their sequences. */
import type { BlobStore } from '@assay/blobs';
import { AssayError, AuditCheckpoint, matches } from '@assay/contracts';

const PREFIX = 'audit/checkpoints/';
const DIGITS = 16;

/** Checkpoints of one sequence that differ in hash or key have blobs of their own: none hides another. */
export async function putCheckpoint(blobs: BlobStore, checkpoint: AuditCheckpoint): Promise<void> {
  const { sequence, hash, keyId } = checkpoint;
  const key = `${PREFIX}${String(sequence).padStart(DIGITS, '0')}-${hash.slice(0, 16)}-${keyId}.json`;
  const bytes = Buffer.from(JSON.stringify(checkpoint), 'utf8');
  await blobs.put(key, once(bytes), { ifAbsent: true }).catch((error: unknown) => {
    // Another replica has written it.
    if (!(error instanceof AssayError) || error.code !== 'ALREADY_EXISTS') throw error;
  });
}

/** Those with a higher sequence, ascending. */
export async function* checkpointsAfter(
  blobs: BlobStore,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<AuditCheckpoint> {
  for await (const { key } of blobs.list(PREFIX, { signal })) {
    if (sequenceOf(key) <= after) continue;
    const chunks: Uint8Array[] = [];
    for await (const chunk of (await blobs.get(key, { signal })).body) chunks.push(chunk);
    const value = parsed(Buffer.concat(chunks).toString('utf8'));
    if (!matches(AuditCheckpoint, value)) {
      throw new AssayError('FAILED_PRECONDITION', `the blob ${key} is no checkpoint any more; restore it from the log`);
    }
    yield value;
  }
}

/** The highest sequence that has a checkpoint; 0 without any. */
export async function lastCheckpointed(blobs: BlobStore, signal: AbortSignal): Promise<number> {
  let last = 0;
  for await (const { key } of blobs.list(PREFIX, { signal })) last = Math.max(last, sequenceOf(key));
  return last;
}

function sequenceOf(key: string): number {
  return Number(key.slice(PREFIX.length, PREFIX.length + DIGITS)) || 0;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
