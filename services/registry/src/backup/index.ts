/** `assay backup` and `assay restore`: by the registry's settings, beside a registry that runs, or before it does. */
import { join } from 'node:path';
import { openBlobStore } from '@assay/blobs';
import { loadConfig, lockDataDir } from '@assay/runtime';
import { registryConfig } from '../config.ts';
import { databaseUrlIn } from '../service.ts';
import type { BackupManifest } from './manifest.ts';
import { type Restored, restoreBackup } from './restore-backup.ts';
import { type RegistryPlaces, writeBackup } from './write-backup.ts';

export type { BackupManifest } from './manifest.ts';
export type { Restored } from './restore-backup.ts';

/** How the registry is found. */
export interface RegistrySettings {
  readonly dataDir?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export async function backUpRegistry(
  settings: RegistrySettings,
  target: string,
  signal: AbortSignal,
): Promise<BackupManifest> {
  const { places } = await placesOf(settings);
  return writeBackup(places, target, signal);
}

/** Keeps a registry from starting in the same data folder until it is done. */
export async function restoreRegistry(
  settings: RegistrySettings,
  backup: string,
  signal: AbortSignal,
): Promise<Restored> {
  const { dir, places } = await placesOf(settings);
  const lock = await lockDataDir(dir);
  try {
    return await restoreBackup(backup, places, signal);
  } finally {
    lock.release();
  }
}

async function placesOf({ dataDir, env }: RegistrySettings): Promise<{ dir: string; places: RegistryPlaces }> {
  const config = loadConfig(registryConfig, { flags: dataDir === undefined ? {} : { dataDir }, env });
  const dir = join(config.dataDir, 'registry');
  return {
    dir,
    places: {
      databaseUrl: config.databaseUrl?.reveal() ?? databaseUrlIn(dir),
      blobs: await openBlobStore(config.blobsUrl ?? `file:${join(dir, 'blobs')}`),
    },
  };
}
