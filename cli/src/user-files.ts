/** Files that a person names: what is in them, or a sentence that says why it cannot be had. */
import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { AssayError, whyUnreadable } from '@assay/contracts';
import type { Io } from './io.ts';

/**
 * The text of the file.
 * @param path as the person gave it
 * @param what a word for what is expected there
 * @throws AssayError INVALID_ARGUMENT where there is none, it cannot be read, or it is no text
 */
export async function readUserFile({ cwd }: Pick<Io, 'cwd'>, path: string, what = 'file'): Promise<string> {
  const bytes = await readFile(resolve(cwd, path)).catch((cause: unknown) => {
    throw unreadable(path, cause, what);
  });
  // Decoded as it comes, what is no text would be complained about in the words of YAML or JSON.
  if (isUtf8(bytes)) return bytes.toString('utf8');
  throw new AssayError('INVALID_ARGUMENT', `${path} is not a text in UTF-8`);
}

/** What the file system threw, as INVALID_ARGUMENT. */
export function unreadable(path: string, cause: unknown, what = 'file'): AssayError {
  return new AssayError('INVALID_ARGUMENT', whyUnreadable(cause, path, what), { cause });
}

/**
 * What the file system threw when `path` was written, or an error that has it as its cause, as INVALID_ARGUMENT; as it is
 * where another path would not help.
 */
export function unwritable(path: string, thrown: unknown): unknown {
  const cause = thrown instanceof AssayError ? thrown.cause : thrown;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  const because = (why: string) => new AssayError('INVALID_ARGUMENT', why, { cause });
  switch (code) {
    case 'ENOENT':
      return because(`there is no folder ${dirname(path)} to write ${path} in`);
    case 'EEXIST':
    case 'ENOTDIR':
      return because(`${path} cannot be written: a part of that path is a file where a folder is needed`);
    case 'EISDIR':
      return because(`${path} is a folder; expected a file`);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return because(`${path} cannot be written by this user, or at all`);
    default:
      return thrown;
  }
}
