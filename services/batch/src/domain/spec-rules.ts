/** What the schema of a spec cannot say. */
import { resolve, sep } from 'node:path';
import type { BatchSpec, ErrorDetail } from '@assay/contracts';

/** GPUs that nothing would compute on. */
export function idleGpus({ resources }: Pick<BatchSpec, 'resources'>): ErrorDetail[] {
  if ((resources?.gpus ?? 0) === 0) return [];
  return [
    { place: 'spec.resources.gpus', message: 'batch jobs score on the CPU; a GPU would lie idle', expected: '0' },
  ];
}

/** Paths that lead out of the folder that inputs and outputs of jobs must be under (setting filesDir). */
export function pathsOutside(
  filesDir: string,
  paths: readonly { readonly place: string; readonly path: string }[],
  baseDir: string,
): ErrorDetail[] {
  return paths
    .filter(({ path }) => !isUnder(resolve(baseDir, path), resolve(filesDir)))
    .map(({ place, path }) => {
      const message = `"${path}" is not under ${filesDir} (setting filesDir)`;
      return { place, message, expected: `a path under ${filesDir}` };
    });
}

function isUnder(path: string, dir: string): boolean {
  return path.startsWith(dir.endsWith(sep) ? dir : `${dir}${sep}`);
}
