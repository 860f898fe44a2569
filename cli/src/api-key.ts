/** The API key that commands show: from the environment, never from the command line, which others on the machine see. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AssayError, whyUnreadable } from '@assay/contracts';
import type { Io } from './io.ts';

/** Not settings of a service: `assay up` must not take them for mistakes. */
const VARIABLES = ['ASSAY_API_KEY', 'ASSAY_API_KEY_FILE'] as const;

/**
 * The key of whoever runs the command; undefined without one.
 * @param besideDataDir the data folder of the Assay that runs here, whose administrator's key its owner may read. Absent
 *   where the address was given: a key is not sent where nobody meant it to go
 */
export async function apiKeyOf(io: Io, besideDataDir: string | undefined): Promise<string | undefined> {
  const given = nonEmpty(io.env.ASSAY_API_KEY);
  const file = nonEmpty(io.env.ASSAY_API_KEY_FILE);
  if (given !== undefined && file !== undefined) {
    throw new AssayError('INVALID_ARGUMENT', 'both ASSAY_API_KEY and ASSAY_API_KEY_FILE are set; set one');
  }
  if (given !== undefined) return given;
  if (file !== undefined) return readKeyFile(resolve(io.cwd, file));
  if (besideDataDir === undefined) return undefined;
  const path = join(besideDataDir, 'keys', 'admin');
  return readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => undefined, // no keys are needed there, or this user may not read them: the answer will say so
  );
}

async function readKeyFile(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    const why = whyUnreadable(cause, path);
    throw new AssayError('INVALID_ARGUMENT', `ASSAY_API_KEY_FILE names ${path}, which cannot be read: ${why}`, {
      cause,
    });
  }
}

/** The environment for a service that runs in this process. */
export function withoutApiKey(env: Io['env']): Io['env'] {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !(VARIABLES as readonly string[]).includes(name)), // a wider type to ask with
  );
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
