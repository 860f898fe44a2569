/**
 * The last snapshot that served, on disk: what a start without the registry serves. Written whole or not at all, and not
 * believed unless its digest is right.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AssayError, parse, RoutingSnapshot, Sha256, tolerant } from '@assay/contracts';
import Type from 'typebox';

const CachedSnapshot = Type.Object(
  { formatVersion: Type.Literal(1), sha256: Sha256, snapshot: Type.String() },
  { additionalProperties: false },
);

export interface SnapshotCache {
  /**
   * The snapshot, or undefined when none was written yet.
   * @throws FAILED_PRECONDITION when the file is there and cannot be used
   */
  read(): Promise<RoutingSnapshot | undefined>;
  /** Only the newest of several calls at once is sure to be written. */
  write(snapshot: RoutingSnapshot): Promise<void>;
}

export function createSnapshotCache(path: string): SnapshotCache {
  let newest: RoutingSnapshot | undefined;
  let writing: Promise<void> | undefined;

  async function writeNewest(): Promise<void> {
    while (newest !== undefined) {
      const snapshot = JSON.stringify(newest);
      newest = undefined;
      await replaceFile(path, JSON.stringify({ formatVersion: 1, sha256: sha256(snapshot), snapshot }));
    }
  }

  return {
    async read() {
      let text: string;
      try {
        text = await readFile(path, 'utf8');
      } catch (cause) {
        if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
        throw unusable(path, cause);
      }
      try {
        const cached = parse(CachedSnapshot, JSON.parse(text), 'cache');
        if (cached.sha256 !== sha256(cached.snapshot)) throw new Error('its digest is wrong');
        // A newer registry said more than this inference knows, and all of it was kept.
        return parse(tolerant(RoutingSnapshot), JSON.parse(cached.snapshot), 'snapshot');
      } catch (cause) {
        throw unusable(path, cause);
      }
    },
    write(snapshot) {
      newest = snapshot;
      writing ??= writeNewest().finally(() => {
        writing = undefined;
      });
      return writing;
    },
  };
}

function unusable(path: string, cause: unknown): AssayError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AssayError('FAILED_PRECONDITION', `the cached routing snapshot ${path} cannot be used: ${why}`, { cause });
}

/** The file has the new content or the old one, whenever the power fails. */
async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.${randomUUID()}.partial`;
  try {
    const file = await open(partial, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
    const folder = await open(dirname(path), 'r');
    await folder.sync().finally(() => folder.close());
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
