/** Makes the files of a bootstrap folder: the keys of a first administrator and of the services. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AssayError } from '@assay/contracts';
import { formatKeyText, newSecret } from '@assay/http';
import { newId } from '@assay/runtime';
import { BOOTSTRAP_NAMES } from './domain/principals.ts';

/** The names of the files, by what became of them. */
export interface BootstrapFiles {
  readonly made: readonly string[];
  /** They were there, and are as they were. */
  readonly kept: readonly string[];
}

/**
 * Makes each file that is missing, readable by its owner alone, with a new key in it.
 * @throws AssayError FAILED_PRECONDITION for a folder that cannot be written
 */
export async function ensureBootstrapFiles(dir: string): Promise<BootstrapFiles> {
  const made: string[] = [];
  const kept: string[] = [];
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await chmod(dir, 0o700);
    for (const name of BOOTSTRAP_NAMES) {
      const text = `${formatKeyText({ id: newId('key'), secret: newSecret() })}\n`;
      try {
        await writeFile(join(dir, name), text, { flag: 'wx', mode: 0o600, flush: true });
        made.push(name);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
        kept.push(name);
      }
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AssayError('FAILED_PRECONDITION', `keys cannot be written to ${dir}: ${why}`, { cause });
  }
  return { made, kept };
}
