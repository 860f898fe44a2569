/** `assay backup` and `assay restore`: the registry's database and blobs. The code of the services is loaded here. */
import { resolve } from 'node:path';
import { EXIT_CODES } from '@assay/runtime';
import { withoutApiKey } from '../api-key.ts';
import type { Io } from '../io.ts';
import { json } from '../output.ts';

export interface BackupOptions {
  readonly json?: boolean;
  readonly dataDir?: string;
}

export async function backup(io: Io, folder: string, options: BackupOptions): Promise<void> {
  const { backUpRegistry } = await import('@assay/standalone');
  const manifest = await backUpRegistry(settingsOf(io, options), resolve(io.cwd, folder), io.signal);
  if (options.json) return io.out(json(manifest));
  const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
  io.out(`Backed up to ${folder}: ${rows} rows, ${manifest.blobs.count} blobs (${manifest.blobs.sizeBytes} bytes)\n`);
  io.out(`The audit chain has ${manifest.audit.entries} entries, head ${manifest.audit.headHash}\n`);
}

/** Exit code `refused` where the chain that was backed up is broken. */
export async function restore(io: Io, folder: string, options: BackupOptions): Promise<number> {
  const { restoreRegistry } = await import('@assay/standalone');
  const restored = await restoreRegistry(settingsOf(io, options), resolve(io.cwd, folder), io.signal);
  const { audit, manifest } = restored;
  if (options.json) io.out(json(restored));
  else
    io.out(
      `Restored ${folder} of ${manifest.createdAt}: ${manifest.tables.length} tables, ${manifest.blobs.count} blobs\n`,
    );
  if (!audit.valid) io.err(`assay: its audit chain is broken: ${audit.reason ?? 'no reason given'}\n`);
  else if (!options.json) io.out(`The audit chain holds: ${audit.entries} entries, head ${audit.headHash}\n`);
  return audit.valid ? EXIT_CODES.ok.code : EXIT_CODES.refused.code;
}

function settingsOf(io: Io, { dataDir }: BackupOptions) {
  return { env: withoutApiKey(io.env), ...(dataDir === undefined ? {} : { dataDir: resolve(io.cwd, dataDir) }) };
}
