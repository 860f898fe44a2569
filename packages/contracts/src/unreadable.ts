/**
 * Why a file cannot be read, in words that need no table of error codes: `there is no file data/a.csv`.
 * @param cause what the file system threw
 * @param what a word for what is expected at `path`
 */
export function whyUnreadable(cause: unknown, path: string, what = 'file'): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no ${what} ${path}`;
    case 'EACCES':
    case 'EPERM':
      return `this user may not read ${path}`;
    case 'EISDIR':
      return `${path} is a folder; expected a ${what}`;
    default:
      return `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}
