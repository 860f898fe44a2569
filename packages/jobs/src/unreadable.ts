/** Why a file cannot be read, in words that need no table of error codes. */
export function whyUnreadable(error: unknown, path: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no ${path}`;
    case 'EACCES':
      return `this user may not read ${path}`;
    case 'EISDIR':
      return `${path} is a folder`;
    default:
      return `${path}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
