/** Paths of artifacts: folders and a file, with no way out of the tree. */
import { invalid } from './errors.ts';

const MAX_LENGTH = 1000;
const MAX_SEGMENT = 255;
const MAX_DEPTH = 40;
const EXPECTED = 'names joined by "/", none of them empty, "." or "..", without control characters and backslashes';

/**
 * @param path as the router decoded it, once: a `%2e%2e` that is still there is a name like others
 * @throws AssayError INVALID_ARGUMENT
 */
export function checkArtifactPath(path: string): string {
  const segments = path.split('/');
  const bad =
    path.length > MAX_LENGTH ||
    segments.length > MAX_DEPTH ||
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
    /[\u0000-\u001f\u007f\\]/.test(path) ||
    segments.some((name) => name === '' || name === '.' || name === '..' || Buffer.byteLength(name) > MAX_SEGMENT);
  if (bad) throw invalid('path', `${JSON.stringify(path.slice(0, 100))} is no path of an artifact`, EXPECTED);
  return path;
}

export function parentOf(path: string): string {
  const end = path.lastIndexOf('/');
  return end === -1 ? '' : path.slice(0, end);
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The folders that a path is in, outermost first. */
export function foldersOf(path: string): string[] {
  const segments = path.split('/');
  return segments.slice(1).map((_, i) => segments.slice(0, i + 1).join('/'));
}

const URI = /^mlflow-artifacts:(?:\/\/[^/]*)?\/+(.*)$/;
/** Where the path begins in URIs that name this server. */
const ROUTE = /^api\/2\.0\/mlflow-artifacts\/artifacts\/+/;

/** The path in a `mlflow-artifacts:` URI; undefined for URIs of other schemes. @throws AssayError INVALID_ARGUMENT */
export function pathOfUri(uri: string): string | undefined {
  const path = URI.exec(uri)?.[1]?.replace(ROUTE, '').replace(/\/+$/, '');
  return path === undefined ? undefined : checkArtifactPath(path);
}
