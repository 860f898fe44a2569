/**
 * Packages on disk, one folder a digest. A folder is whole or absent; whether its files are what the digest says is checked
 * by whoever opens it. Bounded by bytes: when the cache is over its limit, the packages that were used longest ago go
 * first, and those that an endpoint uses never.
 */
import { lstat, mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackageFile, RoutedVersion } from '@assay/contracts';
import type { PackageSource } from '../domain/version.ts';

export interface PackageCacheOptions {
  readonly dir: string;
  readonly maxBytes: number;
  /** Downloads every file into `dir`, digests checked; the folder appears when the last file is there. */
  readonly download: (version: RoutedVersion, dir: string, signal: AbortSignal) => Promise<void>;
  /** Removes what else was kept for a package. */
  readonly removeDerived?: (digest: string) => Promise<void>;
  /** Told of packages that were removed, and of removals that failed. */
  readonly onRemoved?: (digest: string, error?: Error) => void;
}

export interface PackageCache extends PackageSource {
  /** Forgets a package that turned out to be damaged, so that the next fetch downloads it anew. */
  discard(digest: string): Promise<void>;
  retain(digests: ReadonlySet<string>): void;
  /** Resolves when the removals that were started are over. */
  idle(): Promise<void>;
}

/** Downloads in progress and leftovers of a crash; the digest of a package is 64 hex digits and nothing else. */
const DIGEST = /^[0-9a-f]{64}$/;

export function createPackageCache(options: PackageCacheOptions): PackageCache {
  const { dir, maxBytes, download, removeDerived = async () => {}, onRemoved = () => {} } = options;
  /** The last fetch of each digest that is under way; fetches of one digest follow each other. */
  const fetching = new Map<string, Promise<string>>();
  let inUse: ReadonlySet<string> = new Set();
  let isSweepDue = false;
  let sweeping: Promise<void> | undefined;

  function sweep(): void {
    isSweepDue = true;
    sweeping ??= sweepWhileDue().finally(() => {
      sweeping = undefined;
    });
  }

  async function sweepWhileDue(): Promise<void> {
    while (isSweepDue) {
      isSweepDue = false;
      await removeUnused();
    }
  }

  async function fetchOne(version: RoutedVersion, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const target = join(dir, version.digest);
    if (!(await isWhole(target, version.files))) {
      await rm(target, { recursive: true, force: true });
      await mkdir(dir, { recursive: true });
      await download(version, target, signal);
    }
    const now = new Date();
    await utimes(target, now, now);
    return target;
  }

  async function removeUnused(): Promise<void> {
    const packages = await listPackages(dir);
    let total = packages.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const { digest, sizeBytes } of packages.toSorted((a, b) => a.usedAtMs - b.usedAtMs)) {
      if (total <= maxBytes) return;
      if (inUse.has(digest) || fetching.has(digest)) continue;
      try {
        await removeDerived(digest);
        await rm(join(dir, digest), { recursive: true, force: true });
        total -= sizeBytes;
        onRemoved(digest);
      } catch (error) {
        onRemoved(digest, error instanceof Error ? error : new Error(String(error)));
      }
    }
  }

  return {
    async fetch(version, signal) {
      const { digest } = version;
      const before = fetching.get(digest)?.catch(() => {});
      const fetched = Promise.resolve(before).then(() => fetchOne(version, signal));
      fetching.set(digest, fetched);
      try {
        return await fetched;
      } finally {
        if (fetching.get(digest) === fetched) fetching.delete(digest);
      }
    },
    discard: (digest) => rm(join(dir, digest), { recursive: true, force: true }),
    retain(digests) {
      inUse = digests;
      sweep();
    },
    idle: async () => sweeping,
  };
}

/** Whether every file is there with its size; a cheap look, the digests are checked when the package is opened. */
async function isWhole(dir: string, files: readonly PackageFile[]): Promise<boolean> {
  try {
    for (const file of files) {
      const found = await lstat(join(dir, file.path));
      if (!found.isFile() || found.size !== file.sizeBytes) return false;
    }
    return true;
  } catch {
    return false;
  }
}

interface CachedPackage {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly usedAtMs: number;
}

async function listPackages(dir: string): Promise<CachedPackage[]> {
  const names = await readdir(dir).catch(() => []);
  return Promise.all(
    names
      .filter((name) => DIGEST.test(name))
      .map(async (digest) => {
        const path = join(dir, digest);
        const files = await readdir(path, { recursive: true }).catch(() => []);
        const sizes = await Promise.all(
          files.map((file) =>
            stat(join(path, file)).then(
              (s) => (s.isFile() ? s.size : 0),
              () => 0,
            ),
          ),
        );
        const usedAtMs = await stat(path).then(
          (s) => s.mtimeMs,
          () => 0,
        );
        return { digest, sizeBytes: sizes.reduce((sum, size) => sum + size, 0), usedAtMs };
      }),
  );
}
