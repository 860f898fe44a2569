/**
 * Libraries that trainers load, kept in a folder as they were taken out of a Python wheel: each fetched once, by its hash.
 */
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AssayError } from '@assay/contracts';
import { fetchWheel, type Wheel } from './wheel.ts';

export interface LibraryOptions {
  /** A library to use as it is: images have it, and machines that may not fetch. */
  readonly library?: string;
  /** Where fetched libraries are kept; several processes may share it. */
  readonly cacheDir: string;
  readonly signal: AbortSignal;
  /** Told before something is fetched. */
  readonly onFetch?: (what: string) => void;
}

/** A library, and what is taken out of its wheel. */
export interface CachedLibrary {
  readonly what: string;
  /** Name of its folder in the cache. */
  readonly name: string;
  /** The library's path in that folder. */
  readonly file: string;
  readonly wheel: Wheel;
  /** Where a file of the wheel goes in that folder; undefined for what is not needed. */
  readonly place: (pathInWheel: string) => string | undefined;
  /** Changes the library before it is kept. */
  readonly prepare?: (bytes: Buffer) => Buffer;
  /** What to do where it cannot be had. */
  readonly remedy: string;
}

/** The path of the library in the cache, whether it is there or not. */
function pathOf({ name, file }: CachedLibrary, cacheDir: string): { readonly folder: string; readonly path: string } {
  const folder = join(cacheDir, `${name}-${process.arch}`);
  return { folder, path: join(folder, file) };
}

/** The library in the cache; undefined where it is not there. */
export async function findCached(library: CachedLibrary, cacheDir: string): Promise<string | undefined> {
  const { path } = pathOf(library, cacheDir);
  return (await isThere(path)) ? path : undefined;
}

/**
 * The library in the cache, fetched where it is not there yet. Fetches at the same time do not disturb each other.
 * @throws AssayError FAILED_PRECONDITION, saying what to do, where it cannot be had
 */
export async function findOrFetch(library: CachedLibrary, options: LibraryOptions): Promise<string> {
  const { cacheDir, signal, onFetch } = options;
  const { folder, path } = pathOf(library, cacheDir);
  if (await isThere(path)) return path;
  const { wheel, what } = library;
  const build = wheel.builds[process.arch];
  if (process.platform !== 'linux' || build === undefined) {
    throw unavailable(library, `${what} cannot be fetched for ${process.platform} ${process.arch}`);
  }
  onFetch?.(what);
  let temporary: string | undefined;
  try {
    await mkdir(cacheDir, { recursive: true });
    temporary = await mkdtemp(join(cacheDir, `.${library.name}-`));
    const made = join(temporary, 'made');
    for (const file of await fetchWheel(wheel.requirement, build, temporary, signal)) {
      const place = library.place(file.path);
      if (place === undefined) continue;
      const target = join(made, place);
      await mkdir(dirname(target), { recursive: true });
      if (place === library.file && library.prepare !== undefined) {
        await writeFile(target, library.prepare(await readFile(file.absolute)));
      } else await rename(file.absolute, target);
    }
    if (!(await isThere(join(made, library.file)))) {
      throw new AssayError('UNAVAILABLE', `the wheel ${wheel.requirement} does not hold it`);
    }
    await rename(made, folder).catch(async (error: unknown) => {
      if (!(await isThere(path))) throw error; // else another process was faster, with the same bytes
    });
    return path;
  } catch (error) {
    signal.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    throw unavailable(library, `${what} could not be fetched: ${reason}`, error);
  } finally {
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  }
}

export function unavailable({ remedy }: { readonly remedy: string }, reason: string, cause?: unknown): AssayError {
  return new AssayError('FAILED_PRECONDITION', `${reason}. What to do: ${remedy}`, { cause });
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
