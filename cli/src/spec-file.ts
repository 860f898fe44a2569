/** A spec, which a person wrote in a file. */
import { readFile } from 'node:fs/promises';
import { AssayError } from '@assay/contracts';

/**
 * The text of the spec at `file`.
 * @param shown the path as the person gave it
 * @throws AssayError INVALID_ARGUMENT
 */
export async function readSpecFile(file: string, shown: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new AssayError('INVALID_ARGUMENT', whyNot(cause, shown), { cause });
  }
}

function whyNot(cause: unknown, shown: string): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no spec ${shown}`;
    case 'EISDIR':
      return `the spec ${shown} is a folder; name the file in it`;
    case 'EACCES':
      return `the spec ${shown} cannot be read: this user may not`;
    default:
      return `the spec ${shown} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}
