/** A service's source of routing and packages, with what of it is kept on disk between starts. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createRegistryClient } from '@assay/client';
import type { ReportShadows, RoutingSnapshot } from '@assay/contracts';
import { type Logger, lockDataDir } from '@assay/runtime';
import type { InferenceConfig } from '../config.ts';
import type { PackageSource, RoutingSource } from '../domain/version.ts';
import { graphsDir } from '../versions/graphs-dir.ts';
import { createPackageCache } from './package-cache.ts';
import { createRegistryRouting } from './registry-source.ts';
import { createSnapshotCache, type SnapshotCache } from './snapshot-cache.ts';

/** Where models come from: a routing source and the packages that it names. */
export interface ModelSource {
  readonly routing: RoutingSource;
  readonly packages: PackageSource;
  /** A start without any one of its versions fails: for models that a person named on the command line. */
  readonly isStatic: boolean;
}

/** A source with what is kept of it between starts. */
export interface OpenSource extends ModelSource {
  readonly cached: RoutingSnapshot | undefined;
  readonly keep: (effective: RoutingSnapshot) => void;
  /** Absent where there is no registry to tell. */
  readonly reportShadows?: (endpoint: string, report: ReportShadows, signal: AbortSignal) => Promise<void>;
  close(): Promise<void>;
}

export function staticSource(models: ModelSource): OpenSource {
  return { ...models, cached: undefined, keep() {}, async close() {} };
}

/** @throws UNAVAILABLE when another process uses the cache folder */
export async function openRegistrySource(config: InferenceConfig, log: Logger): Promise<OpenSource> {
  const lock = await lockDataDir(config.cacheDir);
  const packagesDir = join(config.cacheDir, 'packages');
  // What a crash left half written; the lock says that nobody is writing now.
  for (const dir of [config.cacheDir, packagesDir]) await removePartial(dir);
  const snapshots = createSnapshotCache(join(config.cacheDir, 'routing.json'));
  const registry = createRegistryClient({ url: config.registryUrl, bearerToken: config.serviceKey?.reveal() });
  let written: Promise<void> = Promise.resolve();
  return {
    routing: createRegistryRouting(registry, config.pollIntervalMs),
    packages: createPackageCache({
      dir: packagesDir,
      maxBytes: config.cacheMaxBytes,
      download: (version, dir, signal) => registry.downloadPackage(version, dir, { signal }),
      removeDerived: (digest) => removeGraphs(graphsDir(config), digest),
      onRemoved(digest, error) {
        if (error === undefined) log.info({ digest }, 'package removed from the cache');
        else log.warn({ err: error, digest }, 'a package could not be removed from the cache');
      },
    }),
    isStatic: false,
    cached: await readCached(snapshots, log),
    keep(effective) {
      written = snapshots.write(effective).catch((error: unknown) => {
        log.error(
          { err: error },
          'the routing snapshot is not cached: a start without the registry would serve an older one',
        );
      });
    },
    reportShadows: (endpoint, report, signal) => registry.reportShadows(endpoint, report, { signal }),
    async close() {
      await written;
      await registry.close();
      lock.release();
    },
  };
}

async function removePartial(dir: string): Promise<void> {
  const files = await readdir(dir).catch(() => []);
  const partial = files.filter((file) => file.endsWith('.partial'));
  await Promise.all(partial.map((file) => rm(join(dir, file), { recursive: true, force: true })));
}

/** The packed graphs of a package; the scorer names them by its digest. */
async function removeGraphs(dir: string, digest: string): Promise<void> {
  const files = await readdir(dir).catch(() => []);
  await Promise.all(
    files.filter((file) => file.startsWith(digest)).map((file) => rm(join(dir, file), { force: true })),
  );
}

/** A cache that cannot be used is no reason not to start: the registry has the truth. */
async function readCached(snapshots: SnapshotCache, log: Logger): Promise<RoutingSnapshot | undefined> {
  try {
    return await snapshots.read();
  } catch (error) {
    log.warn({ err: error }, 'starting without the cached routing snapshot');
    return undefined;
  }
}
