/** What the list of files of a package must be, before a byte of it is read. */
import { AssayError, type ErrorDetail, type PackageFile } from '@assay/contracts';

export const MANIFEST_FILE = 'assay.json';
export const REQUIRED_FILES = [MANIFEST_FILE, 'MLmodel', 'model.onnx'] as const;

export interface PackageLimits {
  /** All files of one package together. */
  readonly maxPackageBytes: number;
}

/**
 * Each path once (also on file systems that ignore case), none a folder of another, all that a package consists of.
 * @throws AssayError INVALID_ARGUMENT for a list that makes no sense, PAYLOAD_TOO_LARGE over the limit,
 *   UNPROCESSABLE_MODEL when a part of the package is missing
 */
export function checkPackageFiles(files: readonly PackageFile[], limits: PackageLimits): void {
  const details: ErrorDetail[] = [];
  const byPath = new Map<string, number>();
  for (const [i, file] of files.entries()) {
    const key = file.path.toLowerCase();
    const before = byPath.get(key);
    if (before !== undefined) {
      details.push({
        place: `files[${i}].path`,
        message: `"${file.path}" is the same file as files[${before}].path`,
        expected: 'each path once, letter case aside',
      });
    }
    byPath.set(key, i);
  }
  for (const [i, file] of files.entries()) {
    const folders = file.path.toLowerCase().split('/').slice(0, -1);
    for (let depth = 1; depth <= folders.length; depth++) {
      const folder = folders.slice(0, depth).join('/');
      if (byPath.has(folder)) {
        details.push({
          place: `files[${i}].path`,
          message: `"${folder}" is a file and a folder`,
          expected: 'one of both',
        });
      }
    }
  }
  const [first] = details;
  if (first) throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}`, { details });

  const totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  if (totalBytes > limits.maxPackageBytes) {
    throw new AssayError(
      'PAYLOAD_TOO_LARGE',
      `files: ${totalBytes} bytes in all, a package may have ${limits.maxPackageBytes} (setting maxPackageBytes)`,
    );
  }

  const paths = new Set(files.map((file) => file.path));
  const missing = REQUIRED_FILES.filter((path) => !paths.has(path));
  if (missing.length > 0) {
    const remedy = missing.includes(MANIFEST_FILE)
      ? ' `assay register NAME model.onnx` makes the package of a plain ONNX file.'
      : '';
    throw new AssayError(
      'UNPROCESSABLE_MODEL',
      `files: the package has no ${missing.join(', no ')}; it consists of ${REQUIRED_FILES.join(', ')} and what assay.json lists.${remedy}`,
      {
        details: missing.map((path) => ({
          place: 'files',
          message: `${path} is missing`,
          expected: `a file with the path ${path}`,
        })),
      },
    );
  }
}

/** Whether two lists name the same files with the same contents, in whatever order. */
export function sameFiles(a: readonly PackageFile[], b: readonly PackageFile[]): boolean {
  const text = (files: readonly PackageFile[]) =>
    files
      .map((file) => `${file.path}\0${file.sha256}\0${file.sizeBytes}`)
      .sort()
      .join('\n');
  return text(a) === text(b);
}
