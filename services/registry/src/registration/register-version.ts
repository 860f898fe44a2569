/**
 * Registering a version: everything that can be wrong with a package is found before the one transaction that makes the
 * version visible. A process killed at any moment leaves either the whole version or nothing of it (blobs that were put
 * stay, and are found again by their digest).
 */

import type { BlobStore } from '@assay/blobs';
import { AssayError, type CreateVersion, type Version } from '@assay/contracts';
import { type ModelPackage, openPackage } from '@assay/model-package';
import { checkPackageFiles, type PackageLimits, sameFiles } from '../domain/package-files.ts';
import { checksOf } from '../domain/version-checks.ts';
import { originOf } from '../domain/version-origin.ts';
import { type BlobClaim, withClaim } from '../store/blob-claims.ts';
import type { Actor, Store } from '../store/change.ts';
import { requireModel } from '../store/models.ts';
import { findByIdempotencyKey, insertVersion } from '../store/versions.ts';
import { blobKey } from './blob-keys.ts';
import { requireBlobs } from './require-blobs.ts';
import type { Slots } from './slots.ts';
import { withStaged } from './staging.ts';

/**
 * Loads the graph of a package in a child process with limits and scores its golden records there.
 * @throws AssayError UNPROCESSABLE_MODEL with the reason
 */
export type CheckPackage = (dir: string, signal: AbortSignal) => Promise<unknown>;

export interface Registration {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly stagingDir: string;
  readonly slots: Slots;
  readonly limits: PackageLimits;
  readonly checkPackage: CheckPackage;
}

/**
 * @returns the version, and whether it was made now (an idempotency key gives the one that it made before)
 * @throws AssayError NOT_FOUND (model), INVALID_ARGUMENT, PAYLOAD_TOO_LARGE, FAILED_PRECONDITION (a file was not put),
 *   UNPROCESSABLE_MODEL with the reason, OVERLOADED
 */
export async function registerVersion(
  parts: Registration,
  actor: Actor,
  modelNameOrId: string,
  body: CreateVersion,
  signal: AbortSignal,
): Promise<{ version: Version; created: boolean }> {
  const model = await requireModel(parts.store.database.db, modelNameOrId);
  if (body.idempotencyKey !== undefined) {
    const before = await findByIdempotencyKey(parts.store.database.db, model, body.idempotencyKey, body.files);
    if (before !== undefined) return { version: before, created: false };
  }
  checkPackageFiles(body.files, parts.limits);
  const keys = body.files.map(({ sha256 }) => blobKey(sha256));
  return withClaim(parts.store.database, keys, (claim) =>
    checkAndInsert(parts, actor, model.id, { body, claim }, signal),
  );
}

async function checkAndInsert(
  parts: Registration,
  actor: Actor,
  modelId: string,
  { body, claim }: { readonly body: CreateVersion; readonly claim: BlobClaim },
  signal: AbortSignal,
): Promise<{ version: Version; created: boolean }> {
  const checked = await parts.slots.use(async () => {
    await requireBlobs(parts.blobs, body.files, ({ path }) => path, signal);
    return withStaged(parts, body.files, signal, async (dir) => {
      const opened = await openStaged(dir, parts.limits, signal);
      if (!sameFiles(opened.files, body.files)) {
        throw new AssayError(
          'UNPROCESSABLE_MODEL',
          'files: the list is not the list of assay.json; send exactly its files',
        );
      }
      await parts.checkPackage(dir, signal);
      return opened;
    });
  }, signal);
  signal.throwIfAborted();
  return insertVersion(parts.store, actor, modelId, {
    claim,
    digest: checked.digest,
    files: body.files,
    signature: checked.manifest.signature,
    metrics: checked.manifest.lineage.metrics,
    origin: originOf(checked.manifest),
    checks: checksOf(checked.manifest),
    description: body.description ?? checked.manifest.description ?? '',
    tags: body.tags ?? {},
    ...(body.idempotencyKey === undefined ? {} : { idempotencyKey: body.idempotencyKey }),
  });
}

/** The caller knows nothing of our folder: messages name files as the package does. */
async function openStaged(dir: string, limits: PackageLimits, signal: AbortSignal): Promise<ModelPackage> {
  try {
    return await openPackage(dir, { maxTotalBytes: limits.maxPackageBytes, signal });
  } catch (cause) {
    if (!(cause instanceof AssayError) || !cause.message.includes(dir)) throw cause;
    throw new AssayError(cause.code, cause.message.replaceAll(` in ${dir}`, '').replaceAll(dir, 'the package'), {
      details: cause.details,
      cause,
    });
  }
}
