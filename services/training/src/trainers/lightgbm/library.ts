/**
 * Finding LightGBM's library: the one that a setting names, else the one in the cache, else the one in the wheel that pip
 * fetches. Everything but training with LightGBM works without it.
 */
import { AssayError } from '@assay/contracts';
import {
  type CachedLibrary,
  findOrFetch,
  type LibraryOptions,
  unavailable as libraryUnavailable,
} from '../libraries/library-cache.ts';
import { XGBOOST_CPU_WHEEL } from '../libraries/wheels.ts';

export const LIGHTGBM_VERSION = '4.7.0';

export interface LibraryLocation {
  /** lib_lightgbm.so. */
  readonly lightgbm: string;
  /** libgomp.so.1 to load first, where the machine has none; looked up only when it is needed. */
  openmp(): Promise<string>;
}

const REMEDY = `install pip (Debian: python3-pip) and let it fetch, or set ASSAY_TRAINING_LIGHTGBM_LIBRARY to lib_lightgbm.so of LightGBM ${LIGHTGBM_VERSION}; trainer logistic-regression needs neither`;

/** @throws AssayError FAILED_PRECONDITION, saying what to do, where the library cannot be had */
export async function findLightGbm(options: LibraryOptions): Promise<LibraryLocation> {
  return {
    lightgbm: options.library ?? (await findOrFetch(LIGHTGBM, options)),
    openmp: () => findOrFetch(OPENMP, options),
  };
}

const LIGHTGBM: CachedLibrary = {
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
  place(path) {
    if (path === 'lightgbm/lib/lib_lightgbm.so') return 'lib_lightgbm.so';
    return /^lightgbm-[^/]*\.dist-info\/licenses\/LICENSE$/.test(path) ? 'LICENSE' : undefined;
  },
  remedy: REMEDY,
};

/** Slim systems have no OpenMP library; the wheel of xgboost-cpu carries GCC's. */
const OPENMP: CachedLibrary = {
  what: 'the OpenMP library (5.6 MB)',
  name: 'libgomp-8.5',
  file: 'libgomp.so.1',
  wheel: XGBOOST_CPU_WHEEL,
  place: (path) => (/^xgboost_cpu\.libs\/libgomp-[0-9a-f]{8}\.so\.1\.0\.0$/.test(path) ? 'libgomp.so.1' : undefined),
  prepare: restoreSoname,
  remedy: REMEDY,
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

export function unavailable(reason: string, cause?: unknown): AssayError {
  return libraryUnavailable({ remedy: REMEDY }, reason, cause);
}
