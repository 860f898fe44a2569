/** `assay audit export` and `assay audit verify --file`: the chain as a file that anyone can check, far from the registry. */
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { createRegistryClient } from '@assay/client';
import { AssayError, verifyAuditExport } from '@assay/contracts';
import type { Io } from '../io.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { tell } from './audit.ts';

/** The file is whole or absent: it gets its name when the last entry is there. */
export async function exportTo(io: Io, file: string, options: TargetOptions): Promise<void> {
  const target = resolve(io.cwd, file);
  const partial = `${target}.partial`;
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  try {
    await registry.exportAudit((body, signal) => pipeline(body, createWriteStream(partial), { signal }), {
      signal: io.signal,
    });
    await rename(partial, target);
  } finally {
    await rm(partial, { force: true });
  }
  io.err(`${file} holds the audit chain; assay audit verify --file ${file} walks it\n`);
}

/** Exit code `refused` where the chain is broken. */
export async function verifyFile(io: Io, file: string, options: { readonly json?: boolean }): Promise<number> {
  const input = createReadStream(resolve(io.cwd, file), { signal: io.signal });
  // readline forwards no error of its input: this one ends the walk.
  const failed = new Promise<never>((_, reject) => input.once('error', reject));
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  const found = await Promise.race([verifyAuditExport(lines), failed]).catch((cause: unknown) => {
    if (io.signal.aborted) throw cause;
    throw new AssayError(
      'INVALID_ARGUMENT',
      `${file} cannot be read: ${cause instanceof Error ? cause.message : cause}`,
      {
        cause,
      },
    );
  });
  return tell(io, found, options);
}
