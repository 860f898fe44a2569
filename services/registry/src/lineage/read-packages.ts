/**
 * Reads the packages of versions that were registered before the registry kept their lineage, once, in the background. What
 * is left to read is in the database, so that a process that ends goes on at its next start; two that read the same write
 * the same.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BlobStore } from '@assay/blobs';
import { AssayError, type PackageFile } from '@assay/contracts';
import { readManifest } from '@assay/model-package';
import type { Logger } from '@assay/runtime';
import { originOf, UNKNOWN_ORIGIN, type VersionOrigin } from '../domain/version-origin.ts';
import { blobKey } from '../registration/blob-keys.ts';
import type { Store } from '../store/change.ts';
import { fromJson } from '../store/tables.ts';
import { keepOrigin, unreadVersions } from '../store/version-origin.ts';

const VERSIONS_AT_ONCE = 20;
/** Between tries while the database or the blobs are away. */
const RETRY_MS = 5000;

export function startReadingPackages(parts: {
  readonly store: Pick<Store, 'database'>;
  readonly blobs: BlobStore;
  readonly log: Logger;
}): { close(): Promise<void> } {
  const { store, blobs, log } = parts;
  const { database } = store;
  const stopping = new AbortController();
  const { signal } = stopping;

  async function readAll(): Promise<void> {
    while (!signal.aborted) {
      const unread = await unreadVersions(database.db, VERSIONS_AT_ONCE);
      if (unread.length === 0) return;
      for (const { id, files } of unread) {
        signal.throwIfAborted();
        const origin = await originIn(fromJson<PackageFile[]>(files));
        await database.transaction((trx) => keepOrigin(trx, { id }, origin), { signal });
      }
    }
  }

  async function originIn(files: readonly PackageFile[]): Promise<VersionOrigin> {
    const manifest = files.find(({ path }) => path === 'assay.json');
    if (manifest === undefined) return UNKNOWN_ORIGIN;
    try {
      const { body } = await blobs.get(blobKey(manifest.sha256), { signal });
      const chunks: Uint8Array[] = [];
      for await (const chunk of body) chunks.push(chunk);
      return originOf(readManifest(Buffer.concat(chunks).toString()));
    } catch (error) {
      const { code } = AssayError.from(error);
      if (code !== 'NOT_FOUND' && code !== 'UNPROCESSABLE_MODEL') throw error;
      return UNKNOWN_ORIGIN; // a deleted version's package may be collected
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        return await readAll();
      } catch (err) {
        if (signal.aborted) return;
        log.warn({ err }, 'packages could not be read for their lineage; trying again');
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  const running = run();
  return {
    async close() {
      stopping.abort(new AssayError('CANCELLED', 'the registry stops'));
      await running;
    },
  };
}
