/** What is wrong with a request for a job beyond its schema, told when it is created, at the place that is wrong. */
import { isAbsolute } from 'node:path';
import { AssayError, type ErrorDetail } from '@assay/contracts';
import type { CreateJobOf, JobKind, JobTypes } from './kind.ts';

/**
 * @returns the folder that relative paths of the spec start from
 * @throws AssayError INVALID_ARGUMENT with every place that is wrong
 */
export function checkRequest<T extends JobTypes>(
  kind: Pick<JobKind<T>, 'check' | 'localPaths'>,
  request: CreateJobOf<T>,
  config: T['config'],
): string {
  const { spec, baseDir } = request;
  const paths = kind.localPaths(spec);
  const details: ErrorDetail[] = [...kind.check(request, config)];
  if (baseDir !== undefined && !isAbsolute(baseDir)) {
    details.push({ place: 'baseDir', message: `"${baseDir}" is not absolute`, expected: 'an absolute folder' });
  }
  for (const { place, path, instead } of paths) {
    const problem = config.launcher === 'kubernetes' ? unreachable(instead) : problemOf(path, baseDir);
    if (problem !== undefined) details.push({ place, ...problem });
  }
  const [first] = details;
  if (first === undefined) return baseDir ?? '/';
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}${more}`, { details });
}

type Problem = Omit<ErrorDetail, 'place'>;

/** Paths that would mean another file on another day: relative ones need a folder to start from. */
function problemOf(path: string, baseDir: string | undefined): Problem | undefined {
  if (path.includes('\0')) return { message: 'it holds U+0000', expected: 'a path' };
  if (baseDir !== undefined || isAbsolute(path)) return undefined;
  return { message: `"${path}" is relative and there is no baseDir`, expected: 'an absolute path, or baseDir' };
}

function unreachable(instead: string): Problem {
  return { message: `jobs run on Kubernetes, where no file of this machine is; name ${instead}`, expected: instead };
}
