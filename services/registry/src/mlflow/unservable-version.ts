/** What is registered of a model that no endpoint can serve: its files are those of MLflow alone. */
import { createHash } from 'node:crypto';
import { UNKNOWN_ORIGIN, type VersionOrigin } from '../domain/version-origin.ts';
import { NO_CLAIM } from '../store/blob-claims.ts';
import type { NewVersion } from '../store/versions.ts';

export const NO_FILES = 'it has no files here';

interface ContentOfFile {
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

export function unservableVersion(
  why: string,
  files: readonly ContentOfFile[] = [],
  origin: VersionOrigin = UNKNOWN_ORIGIN,
): Pick<NewVersion, 'digest' | 'files' | 'claim' | 'signature' | 'metrics' | 'origin' | 'notServable'> {
  const signature = { features: [], outputs: [] };
  return { digest: digestOf(files), files: [], claim: NO_CLAIM, signature, metrics: {}, origin, notServable: why };
}

function digestOf(files: readonly ContentOfFile[]): string {
  const lines = files.map(({ path, sha256, sizeBytes }) => `${path}\0${sha256}\0${sizeBytes}\n`).sort();
  return createHash('sha256').update(lines.join('')).digest('hex');
}
