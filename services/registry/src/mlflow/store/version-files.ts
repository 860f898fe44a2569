/** Where the files of versions are in the tree of artifacts. */
const ROOT = 'versions';

export function versionRoot(versionId: string): string {
  return `${ROOT}/${versionId}`;
}

/** Whether a path is where versions keep their files, which nobody else writes. */
export function isInVersion(path: string): boolean {
  return path === ROOT || path.startsWith(`${ROOT}/`);
}

export function versionIdOf(path: string): string | undefined {
  const [root, id] = path.split('/');
  return root === ROOT ? id : undefined;
}
