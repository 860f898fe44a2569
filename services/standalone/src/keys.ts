/**
 * Keys in standalone: the folder `keys` in the data folder, with the key of the administrator and those of the services.
 * Whoever can read the data folder can do everything anyway; so the first key needs no ceremony, and the command line,
 * run by the same user, finds the administrator's by itself.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AssayError } from '@assay/contracts';
import { ensureBootstrapFiles } from '@assay/registry';
import { Secret } from '@assay/runtime';
import type { StandaloneServices } from './standalone.ts';

export interface StandaloneKeys {
  /** The bootstrap folder of the registry. */
  readonly dir: string;
  readonly admin: Secret;
  readonly inference: Secret;
  readonly training: Secret;
  readonly batch: Secret;
  readonly monitoring: Secret;
}

/** The services as a part of this process calls them that acts for the person in front of it. */
export interface CallableServices extends StandaloneServices {
  /** The administrator's; undefined where calls need none. */
  readonly key: Secret | undefined;
}

export function keysDirIn(dataDir: string): string {
  return join(dataDir, 'keys');
}

/**
 * The keys of this process; undefined where calls need none. They are needed when the settings say so, and when they once
 * were: what was closed does not open again because a flag was forgotten.
 * @param mountedDir a folder from elsewhere, as a mounted Secret; nothing is written there
 * @throws AssayError FAILED_PRECONDITION for a folder without the keys of these services
 */
export async function openKeys(options: {
  readonly dataDir: string;
  readonly wanted: boolean;
  readonly mountedDir: string | undefined;
}): Promise<StandaloneKeys | undefined> {
  const own = keysDirIn(options.dataDir);
  const dir = options.mountedDir ?? (options.wanted || existsSync(join(own, 'admin')) ? own : undefined);
  if (dir === undefined) return undefined;
  if (options.mountedDir === undefined) await ensureBootstrapFiles(dir);
  const keyOf = (name: string) => readKey(join(dir, name));
  const [admin, inference, training, batch, monitoring] = await Promise.all([
    keyOf('admin'),
    keyOf('inference'),
    keyOf('training'),
    keyOf('batch'),
    keyOf('monitoring'),
  ]);
  return { dir, admin, inference, training, batch, monitoring };
}

async function readKey(path: string): Promise<Secret> {
  try {
    return new Secret((await readFile(path, 'utf8')).trim());
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AssayError('FAILED_PRECONDITION', `the key ${path} cannot be read: ${why}`, { cause });
  }
}
