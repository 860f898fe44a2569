/** The versions that predictions are replayed with: packages by digest on disk, the last few in memory. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RegistryClient } from '@assay/client';
import { AssayError, type PredictionEntry } from '@assay/contracts';
import { openPackage } from '@assay/model-package';
import type { Scorer } from '@assay/scoring';

export interface ReplayVersions {
  /**
   * The version that made the prediction, loaded, by its id and with its very bytes. Not for two callers at a time.
   * @throws AssayError NOT_FOUND when the registry has it no more, FAILED_PRECONDITION when it has other bytes
   */
  scorer(prediction: PredictionEntry, signal: AbortSignal): Promise<Scorer>;
  close(): void;
}

export interface ReplayVersionsOptions {
  readonly registry: RegistryClient;
  readonly dir: string;
  /** In memory, and on disk. */
  readonly maxModels: number;
}

export function createReplayVersions({ registry, dir, maxModels }: ReplayVersionsOptions): ReplayVersions {
  /** By digest, the one used longest ago first. */
  const loaded = new Map<string, Scorer>();

  async function load(
    { versionId, digest, modelName, version }: PredictionEntry,
    signal: AbortSignal,
  ): Promise<Scorer> {
    const found = await registry.getVersionById(versionId, { signal }).catch((cause: unknown) => {
      if (!(cause instanceof AssayError) || cause.code !== 'NOT_FOUND') throw cause;
      const message = `version ${version} of "${modelName}" (${versionId}) is not in the registry any more, so its predictions cannot be replayed`;
      throw new AssayError('NOT_FOUND', message, { cause });
    });
    if (found.digest !== digest) {
      const message = `the registry has version ${versionId} with digest ${found.digest}; the prediction was made with ${digest}`;
      throw new AssayError('FAILED_PRECONDITION', message);
    }
    const packageDir = join(dir, 'packages', digest);
    const open = async () => {
      await registry.downloadPackage(found, packageDir, { signal });
      return openPackage(packageDir, { expectedDigest: digest, signal });
    };
    const pkg = await open().catch(async (error: unknown) => {
      if (!(error instanceof AssayError) || error.code !== 'UNPROCESSABLE_MODEL') throw error;
      await rm(packageDir, { recursive: true, force: true }); // damaged on this disk: had anew once
      return open();
    });
    // Loaded when something is replayed, not before: it brings ONNX Runtime.
    const { createScorer } = await import('@assay/scoring');
    return createScorer(pkg, { cacheDir: join(dir, 'graphs'), signal });
  }

  /** Those of earlier processes too; the ones used longest ago go first, those in memory never. */
  async function prune(): Promise<void> {
    const found = await Promise.all(
      (await readdir(join(dir, 'packages'))).map(async (name) => ({
        name,
        madeAtMs: (await stat(join(dir, 'packages', name))).mtimeMs,
      })),
    );
    const unused = found.filter(({ name }) => !loaded.has(name)).sort((a, b) => a.madeAtMs - b.madeAtMs);
    const graphs = await readdir(join(dir, 'graphs')).catch(() => []);
    for (const { name } of unused.slice(0, Math.max(0, found.length - maxModels))) {
      await rm(join(dir, 'packages', name), { recursive: true, force: true });
      for (const graph of graphs.filter((file) => file.startsWith(name))) {
        await rm(join(dir, 'graphs', graph), { force: true });
      }
    }
  }

  return {
    async scorer(prediction, signal) {
      const { digest } = prediction;
      const scorer = loaded.get(digest) ?? (await load(prediction, signal));
      loaded.delete(digest);
      loaded.set(digest, scorer);
      for (const [old, unused] of loaded) {
        if (loaded.size <= maxModels) break;
        loaded.delete(old);
        unused.close();
      }
      await prune();
      return scorer;
    },
    close() {
      for (const scorer of loaded.values()) scorer.close();
      loaded.clear();
    },
  };
}
