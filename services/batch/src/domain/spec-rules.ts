/** What the schema of a spec cannot say. */
import { isAbsolute, resolve, sep } from 'node:path';
import type { BatchSpec, ErrorDetail } from '@assay/contracts';

/**
 * Paths that would mean another file on another day: relative ones need a folder to start from; and paths that lead out of
 * `filesDir`, where there is one.
 */
export function checkPaths(spec: BatchSpec, baseDir: string | undefined, filesDir?: string): ErrorDetail[] {
  const details: ErrorDetail[] = [];
  if (baseDir !== undefined && !isAbsolute(baseDir)) {
    details.push({ place: 'baseDir', message: `"${baseDir}" is not absolute`, expected: 'an absolute folder' });
  }
  for (const [place, path] of [
    ['spec.input.path', spec.input.path],
    ['spec.output.path', spec.output.path],
  ] as const) {
    if (path.includes('\0')) details.push({ place, message: 'it holds U+0000', expected: 'a path' });
    if (filesDir !== undefined && !isUnder(resolve(baseDir ?? '/', path), resolve(filesDir))) {
      const message = `"${path}" is not under ${filesDir} (setting filesDir)`;
      details.push({ place, message, expected: `a path under ${filesDir}` });
    }
    if (baseDir !== undefined || isAbsolute(path)) continue;
    const message = `"${path}" is relative and there is no baseDir`;
    details.push({ place, message, expected: 'an absolute path, or baseDir' });
  }
  return details;
}

function isUnder(path: string, dir: string): boolean {
  return path.startsWith(dir.endsWith(sep) ? dir : `${dir}${sep}`);
}
