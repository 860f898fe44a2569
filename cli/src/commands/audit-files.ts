/** `assay audit verify`, and `assay audit export`: the chain as a file that anyone can check, far from the registry. */
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { createRegistryClient } from '@assay/client';
import {
  AssayError,
  type AuditCheckpoint,
  type AuditVerification,
  isSigned,
  unsignedCheckpoint,
  verifyAuditExport,
} from '@assay/contracts';
import { EXIT_CODES } from '@assay/runtime';
import type { Io } from '../io.ts';
import { json } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { unreadable, unwritable } from '../user-files.ts';
import { readCheckpointKeys, readCheckpoints } from './audit-checkpoints.ts';

/** The file is whole or absent: it gets its name when the last entry is there. */
export async function exportTo(io: Io, file: string, options: TargetOptions): Promise<void> {
  const target = resolve(io.cwd, file);
  const partial = `${target}.partial`;
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  try {
    // Before the chain is asked for. It is written anew by each try.
    await writeFile(partial, '').catch((cause: unknown) => {
      throw unwritable(file, cause);
    });
    await registry.exportAudit((body, signal) => pipeline(body, createWriteStream(partial), { signal }), {
      signal: io.signal,
    });
    await rename(partial, target).catch((cause: unknown) => {
      throw unwritable(file, cause);
    });
  } finally {
    await rm(partial, { force: true });
  }
  io.err(`${file} holds the audit chain; assay audit verify --file ${file} walks it\n`);
}

/** Exit code `refused` where the chain is broken. */
export async function verify(
  io: Io,
  options: TargetOptions & CheckpointOptions & { readonly file?: string },
): Promise<number> {
  if (options.file !== undefined) return verifyFile(io, options.file, options);
  if (options.checkpoints !== undefined || options.publicKeys !== undefined) {
    throw new AssayError('INVALID_ARGUMENT', '--checkpoints and --public-keys go with --file: a registry has its own');
  }
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  return tell(io, await registry.verifyAudit({ signal: io.signal }), options);
}

export interface CheckpointOptions {
  /** A folder of checkpoints, or a log that holds them. */
  readonly checkpoints?: string;
  /** Of the keys that may have signed them: one that lies beside them proves nothing. */
  readonly publicKeys?: string;
}

async function verifyFile(
  io: Io,
  file: string,
  options: CheckpointOptions & { readonly json?: boolean },
): Promise<number> {
  const checkpoints = await checkpointsOf(io, options);
  if ('forged' in checkpoints) return tell(io, checkpoints.forged, options);
  const { signed } = checkpoints;
  const input = createReadStream(resolve(io.cwd, file), { signal: io.signal });
  // readline forwards no error of its input: this one ends the walk.
  const failed = new Promise<never>((_, reject) => input.once('error', reject));
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  const found = await Promise.race([verifyAuditExport(lines, signed), failed]).catch((cause: unknown) => {
    if (io.signal.aborted) throw cause;
    throw unreadable(file, cause);
  });
  return tell(io, signed === undefined ? found : { ...found, checkpoints: signed.length }, options);
}

async function checkpointsOf(
  io: Io,
  { checkpoints, publicKeys }: CheckpointOptions,
): Promise<{ signed: AuditCheckpoint[] | undefined } | { forged: AuditVerification }> {
  if (checkpoints === undefined && publicKeys === undefined) return { signed: undefined };
  if (checkpoints === undefined || publicKeys === undefined) {
    throw new AssayError('INVALID_ARGUMENT', 'checkpoints are compared with --checkpoints and --public-keys together');
  }
  const keys = await readCheckpointKeys(io, publicKeys);
  const signed = await readCheckpoints(io, checkpoints);
  const forged = signed.find((checkpoint) => !isSigned(checkpoint, keys));
  return forged === undefined ? { signed } : { forged: unsignedCheckpoint(forged, publicKeys) };
}

export function tell(io: Io, found: AuditVerification, options: { readonly json?: boolean }): number {
  if (options.json) io.out(json(found));
  else if (found.valid) {
    const compared = found.checkpoints === undefined ? '' : `, ${found.checkpoints} signed checkpoints`;
    io.out(`The audit chain holds: ${found.entries} entries${compared}, head ${found.headHash}\n`);
  } else {
    const where = found.firstBadSequence === undefined ? '' : ` at entry ${found.firstBadSequence}`;
    io.err(`assay: the audit chain is broken${where}: ${found.reason ?? 'the registry gives no reason'}\n`);
  }
  return found.valid ? EXIT_CODES.ok.code : EXIT_CODES.refused.code;
}
